"""Where files go that other steps read: in the workspace, and owned as it is."""

import os
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Final

KEPT_IN: Final = ".ghcr-push"
"""Folder of the workspace for reports; it tells git to look away, so the checkout stays clean."""


class Places:
    """The folders of the job that ``environ`` describes, as this process sees them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._workspace = Path(environ.get("GITHUB_WORKSPACE") or Path.cwd())

    def path(self, text: str) -> Path:
        """Find what a workflow calls ``text``: relative to the workspace, or the runner's own path.

        A runner rewrites its own paths only where a value begins with one; in a container action
        the host's workspace and temporary folder are mounted elsewhere.
        """
        path = Path(text)
        if not path.is_absolute():
            return self._workspace / path
        for outside, inside in self._mounts():
            if path.is_relative_to(outside):
                return inside / path.relative_to(outside)
        return path

    def _mounts(self) -> list[tuple[Path, Path]]:
        """Pair the host's folders with where they are mounted here, the innermost first."""
        above = self._environ.get("RUNNER_WORKSPACE")
        name = (self._environ.get("GITHUB_REPOSITORY") or "").rpartition("/")[2]
        pairs = []
        if above and name:
            pairs.append((Path(above) / name, self._workspace))
            if temporary := self._environ.get("RUNNER_TEMP"):
                pairs.append((Path(above).parent / "_temp", Path(temporary)))
        return pairs

    def write(self, text: str, content: bytes) -> Path:
        """Write ``content`` to the path called ``text``; make the folders above it."""
        path = self.path(text)
        missing = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        for made in (*missing, path):
            self._own(made)
        return path

    def keep_report(self, content: bytes) -> str:
        """Write a report that no other step's overwrites; return its path in the workspace."""
        folder = Path(KEPT_IN)
        ignore = self._workspace / folder / ".gitignore"
        if not ignore.exists():
            self.write(str(folder / ".gitignore"), b"*\n")
        for number in count(1):
            name = folder / f"report-{number}.json"
            if not (self._workspace / name).exists():
                break
        self.write(str(name), content)
        return str(name)

    def _own(self, path: Path) -> None:
        """Give ``path`` to the workspace's owner: we are root here, later steps are not."""
        owner = self._workspace.stat()
        if os.geteuid() == 0:
            os.chown(path, owner.st_uid, owner.st_gid)
