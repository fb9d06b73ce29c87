"""``python -m ghcr_push`` is the command ``ghcr-push``."""

from ghcr_push.fronts.cli import main

if __name__ == "__main__":
    main()
