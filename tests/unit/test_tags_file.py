"""``tags-file``: a list of any length, parsed like ``tags``; errors for bad files."""

import json
import os
from pathlib import Path

import pytest

from ghcr_push.fronts.action import main
from ghcr_push.fronts.delivery import BAD_INPUT
from ghcr_push.planning.problems import InputError
from ghcr_push.planning.settings import Settings, read_settings
from ghcr_push.planning.tagsfile import LARGEST
from ghcr_push.signals import Interruption

FULL = "ghcr.io/acme/app"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tags.txt"


def read(file: Path, **inputs: str) -> Settings:
    return read_settings(
        {"tags-file": str(file)} | {n.replace("_", "-"): v for n, v in inputs.items()}
    )


def targets(settings: Settings) -> list[str]:
    return [str(target) for target in settings.targets]


def only_line(file: Path, **inputs: str) -> str:
    with pytest.raises(InputError) as caught:
        read(file, **inputs)
    (line,) = str(caught.value).splitlines()
    return line


def test_targets_in_the_file_are_added_to_tags(file: Path) -> None:
    file.write_text(f"{FULL}:2, {FULL}:3\n\napp => {FULL}:4\n")
    settings = read(file, tags=f"{FULL}:1")
    assert targets(settings) == [f"{FULL}:{number}" for number in (1, 2, 3, 4)]
    assert settings.targets[3].source.image == "app"


def test_the_file_alone_is_enough(file: Path) -> None:
    file.write_text("1\n2\n")
    assert targets(read(file, image=FULL)) == [f"{FULL}:1", f"{FULL}:2"]


def test_a_target_of_both_lists_is_one(file: Path) -> None:
    file.write_text(f"{FULL}:1")
    settings = read(file, tags=f"{FULL}:1")
    assert targets(settings) == [f"{FULL}:1"]
    assert len(settings.notices) == 1


@pytest.mark.parametrize("document", [[f"{FULL}:1"], {"tags": [f"{FULL}:1"]}])
def test_the_file_may_be_json(file: Path, document: object) -> None:
    file.write_text(json.dumps(document, indent=2) + "\n")
    assert targets(read(file, tags=f"{FULL}:0")) == [f"{FULL}:0", f"{FULL}:1"]


def test_files_of_windows_are_read(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf1\r\n2\r\n")
    assert targets(read(file, image=FULL)) == [f"{FULL}:1", f"{FULL}:2"]


def test_far_more_than_a_variable_holds_is_read(file: Path) -> None:
    file.write_text("".join(f"{FULL}:{number:040}\n" for number in range(20_000)))
    assert file.stat().st_size > 8 * 131_072
    assert len(read(file).targets) == 20_000


def test_a_bad_entry_names_the_input_that_it_came_from(file: Path) -> None:
    file.write_text(f"{FULL}:1\n{FULL}:a b\n")
    assert only_line(file, tags=f"{FULL}:2") == (
        f"tags-file: '{FULL}:a b' has a space in it; write one entry per line, or a comma between "
        "them."
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"{FULL}:1\né".encode("latin-1"), "is not UTF-8 text (byte 19); save it as UTF-8"),
        (f"{FULL}:1".encode("utf-16"), "is not UTF-8 text (byte 0); save it as UTF-8"),
        (b"x" * (LARGEST + 1), "is larger than 8 MiB; split the run in two"),
    ],
)
def test_an_invalid_list_is_rejected_with_its_path(file: Path, content: bytes, says: str) -> None:
    file.write_bytes(content)
    assert only_line(file) == f"tags-file: '{file}' {says}."
    assert only_line(file, tags=f"{FULL}:1") == f"tags-file: '{file}' {says}."


def test_a_file_that_is_not_there_is_refused_by_its_path(file: Path) -> None:
    assert only_line(file) == (
        f"tags-file: '{file}' cannot be read: No such file or directory; give the path of a text "
        "file, relative to the workspace."
    )


def test_folders_and_pipes_are_no_files(file: Path) -> None:
    assert "is not a regular file" in only_line(file.parent)
    os.mkfifo(file)
    assert "is not a regular file" in only_line(file)


@pytest.mark.parametrize("path", ["/proc/self/mem", "/proc/self/status/x"])
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(path: str) -> None:
    assert f"tags-file: '{path}' cannot be read: " in only_line(Path(path))


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000])
def test_a_path_that_none_can_have_is_refused(path: str) -> None:
    assert only_line(Path(path)).startswith("tags-file: '")


@pytest.mark.parametrize("content", ["", " \n", "\ufeff", '{"tags": []}'])
def test_an_empty_file_is_no_list_unless_allowed(file: Path, content: str) -> None:
    file.write_text(content, encoding="utf-8")
    assert only_line(file).startswith("tags-file")
    assert "is empty" in only_line(file)
    assert read(file, allow_empty="true").targets == ()
    assert targets(read(file, tags=f"{FULL}:1")) == [f"{FULL}:1"]


@pytest.mark.parametrize("path", ["list/tags.txt", "/home/runner/work/app/app/list/tags.txt"])
def test_the_action_sees_the_path_from_the_workspace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    (tmp_path / "list").mkdir()
    (tmp_path / "list/tags.txt").write_text("not/a/registry:1")
    environ = {
        "INPUT_TAGS-FILE": path,
        "GITHUB_WORKSPACE": str(tmp_path),
        "GITHUB_REPOSITORY": "acme/app",
        "RUNNER_WORKSPACE": "/home/runner/work/app",
    }
    assert main(Interruption(), environ) == BAD_INPUT
    assert "tags-file: 'not/a/registry:1' names no registry" in capsys.readouterr().out
