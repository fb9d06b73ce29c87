"""Files for later steps: resolved as the workflow means them, with the workspace's owner."""

import os
from pathlib import Path

import pytest

from ghcr_push.fronts.files import WorkspacePaths


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


def container(workspace: Path, temporary: Path) -> WorkspacePaths:
    """Return the paths in a container action, where the host's folders are mounted elsewhere."""
    return WorkspacePaths(
        {
            "GITHUB_WORKSPACE": str(workspace),
            "GITHUB_REPOSITORY": "acme/app",
            "RUNNER_WORKSPACE": "/home/runner/work/app",
            "RUNNER_TEMP": str(temporary),
        }
    )


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("reports/push.json", "workspace/reports/push.json"),
        ("./push.json", "workspace/push.json"),
        ("/home/runner/work/app/app/push.json", "workspace/push.json"),
        ("/home/runner/work/app/app", "workspace"),
        ("/home/runner/work/_temp/push.json", "temp/push.json"),
    ],
)
def test_a_path_is_found_where_the_workflow_means_it(
    tmp_path: Path, text: str, inside: str
) -> None:
    places = container(tmp_path / "workspace", tmp_path / "temp")
    assert places.path(text) == tmp_path / inside


@pytest.mark.parametrize(
    "text",
    ["/tmp/push.json", "/home/runner/work/app/other/x", "/home/runner/work/app/application/x"],
)
def test_other_absolute_paths_are_left_alone(tmp_path: Path, text: str) -> None:
    assert container(tmp_path, tmp_path / "temp").path(text) == Path(text)


def test_without_a_runner_paths_are_the_working_folder_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places = WorkspacePaths({})
    assert places.path("push.json") == tmp_path / "push.json"
    assert places.path("/home/runner/work/app/app/x") == Path("/home/runner/work/app/app/x")


def test_folders_above_a_file_are_made(workspace: Path) -> None:
    places = container(workspace, workspace)
    assert places.write("a/b/push.json", b"{}") == workspace / "a/b/push.json"
    assert (workspace / "a/b/push.json").read_bytes() == b"{}"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a/push.json", "a/push.json"),
        ("./push.json", "push.json"),
        ("/home/runner/work/app/app/a/push.json", "a/push.json"),
        ("/home/runner/work/_temp/push.json", "/home/runner/work/_temp/push.json"),
        ("/tmp/push.json", "/tmp/push.json"),
    ],
)
def test_later_steps_find_a_path_from_the_workspace(
    workspace: Path, tmp_path: Path, text: str, seen: str
) -> None:
    assert container(workspace, tmp_path / "temp").seen_later(text) == seen


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_written_by_root_belong_to_the_workspaces_owner(workspace: Path) -> None:
    os.chown(workspace, 1001, 1002)
    places = container(workspace, workspace)
    places.write("a/b/push.json", b"{}")
    made = list(workspace.rglob("*"))
    assert len(made) == 3
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(1001, 1002)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_folders_that_were_there_keep_their_owner(workspace: Path) -> None:
    (workspace / "a").mkdir()
    os.chown(workspace, 1001, 1002)
    container(workspace, workspace).write("a/b/push.json", b"{}")
    assert (workspace / "a").stat().st_uid == 0
    assert (workspace / "a/b").stat().st_uid == 1001


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_command_line_does_not_change_the_owner_of_files(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(workspace, 1001, 1002)
    monkeypatch.chdir(workspace)
    WorkspacePaths({}).write("push.json", b"{}")
    assert (workspace / "push.json").stat().st_uid == 0


def test_a_file_is_written_even_if_its_owner_cannot_be_changed(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", refuse)
    container(workspace, workspace).write("push.json", b"{}")
    assert (workspace / "push.json").read_bytes() == b"{}"
