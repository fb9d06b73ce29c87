"""Paths of the workflow as this process sees them, and the owner of written files."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


class WorkspacePaths:
    """The folders of the job in ``environ``, as this process sees them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._is_job = bool(environ.get("GITHUB_WORKSPACE"))
        self._workspace = Path(environ.get("GITHUB_WORKSPACE") or Path.cwd())

    def path(self, text: str) -> Path:
        """Resolve the workflow's path ``text``: relative to the workspace, or a runner's path.

        A runner rewrites its own paths only at the start of a value; in a container action the
        host's workspace and temporary folder are mounted elsewhere.
        """
        path = Path(text)
        if not path.is_absolute():
            return self._workspace / path
        for outside, inside in self._mounts():
            if path.is_relative_to(outside):
                return inside / path.relative_to(outside)
        return path

    def certificates(self) -> dict[str, str]:
        """Return the variables that name certificate authorities, with paths resolved."""
        found = {}
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            if paths := self._environ.get(name):
                found[name] = os.pathsep.join(
                    str(self.path(each)) for each in paths.split(os.pathsep)
                )
        return found

    def _mounts(self) -> list[tuple[Path, Path]]:
        """Pair the host's folders with their mount points here, the innermost first."""
        above = self._environ.get("RUNNER_WORKSPACE")
        name = (self._environ.get("GITHUB_REPOSITORY") or "").rpartition("/")[2]
        pairs = []
        if above and name:
            pairs.append((Path(above) / name, self._workspace))
            if temporary := self._environ.get("RUNNER_TEMP"):
                pairs.append((Path(above).parent / "_temp", Path(temporary)))
        return pairs

    def write(self, text: str, content: bytes) -> Path:
        """Write ``content`` to the path ``text``; create its parent folders."""
        path = self.path(text)
        missing = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        for made in (*missing, path):
            self._own(made)
        return path

    def seen_later(self, text: str) -> str:
        """Return the path ``text`` for later steps: relative to the workspace if it is there.

        The runner's other paths are the same for every step, as the workflow wrote them.
        """
        path = self.path(text)
        if path.is_relative_to(self._workspace):
            return str(path.relative_to(self._workspace))
        return text

    def _own(self, path: Path) -> None:
        """Give ``path`` to the workspace's owner if possible: later steps are not root."""
        if self._is_job and os.geteuid() == 0:
            owner = self._workspace.stat()
            with suppress(OSError):
                os.chown(path, owner.st_uid, owner.st_gid)
