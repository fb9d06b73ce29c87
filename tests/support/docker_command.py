"""The body of the fake `docker` command (see docker.py): the standard library only."""

import base64
import fcntl
import json
import os
import re
import shutil
import sys
import time
import urllib.request
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

HERE = Path(sys.argv[0]).parent


def main() -> int:
    data = json.loads((HERE / "data.json").read_text())
    words = _words(sys.argv[1:])
    asked = " ".join(words)
    before = _noted(asked)
    _keep_what_it_was_given(sys.argv[1:])
    for rule in data["says"]:
        if not fnmatchcase(asked, rule["asked"]):
            continue
        place = sum(fnmatchcase(each, rule["asked"]) for each in before) - rule["skip"]
        if place < 0 or (rule["first"] is not None and place >= rule["first"]):
            continue
        time.sleep(rule["seconds"])
        if rule["effect"] == "after":
            _done(words, data)
        sys.stdout.buffer.write(base64.b64decode(rule["out"]))
        sys.stderr.write(rule["err"])
        return int(rule["status"])
    status, out, err = _done(words, data)
    sys.stdout.write(out)
    sys.stderr.write(err)
    return status


def _words(arguments: list[str]) -> list[str]:
    """Return the arguments from the command's first word on."""
    while arguments and arguments[0].startswith("-"):
        arguments = arguments[1 if "=" in arguments[0] else 2 :]
    return arguments


def _noted(asked: str) -> list[str]:
    """Add a call to the list and return those before it."""
    with (HERE / "calls").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = file.read().splitlines()
        file.write(asked.replace("\n", " ") + "\n")
    return before


def _keep_what_it_was_given(arguments: list[str]) -> None:
    """Add the names of the variables and the logins of the configuration to a list."""
    folder = arguments[arguments.index("--config") + 1] if "--config" in arguments else ""
    file = Path(folder) / "config.json"
    auths = json.loads(file.read_text()).get("auths", {}) if folder and file.exists() else {}
    logins = {
        key: base64.b64decode(entry["auth"]).decode() if "auth" in entry else entry
        for key, entry in auths.items()
    }
    with (HERE / "given").open("a") as given:
        given.write(json.dumps({"variables": sorted(os.environ), "logins": logins}) + "\n")


def _done(words: list[str], data: dict[str, Any]) -> tuple[int, str, str]:
    """Do what an engine would; return the status and what is printed on both streams."""
    known = _known(data["images"])
    names = [word for word in words[2:] if not word.startswith("-") and word != "{{json .}}"]
    there = [known[name] for name in names if name in known]
    missing = "".join(
        f"Error response from daemon: No such image: {name}\n"
        for name in names
        if name not in known
    )
    result = (1, "", missing)
    match words[:2]:
        case ["image", "inspect"]:
            said = [image["inspect"] for image in there]
            lines = "".join(f"{json.dumps(each)}\n" for each in said)
            result = (
                int(bool(missing)),
                lines if "--format" in words else json.dumps(said),
                missing,
            )
        case ["image", "save"] if there:
            with (HERE / there[0]["archive"]).open("rb") as archive:
                shutil.copyfileobj(archive, sys.stdout.buffer)
            result = (0, "", "")
        case ["image", "tag"] if there:
            _tag(names)
            result = (0, "", "")
        case ["image", "rm"]:
            result = (0, "", "")
        case ["image", "push"] if there:
            result = _pushed(there[0], names[0], data["blobs"])
        case ["version", *_]:
            result = (0, "28.5.0\n", "")
    return result


def _known(images: dict[str, Any]) -> dict[str, Any]:
    """Return all images by names, IDs and the names that they were tagged with."""
    known = {key: image for name, image in images.items() for key in (name, image["inspect"]["Id"])}
    for tagged in (HERE / "tagged").read_text().splitlines() if (HERE / "tagged").exists() else ():
        name, alias = tagged.split(" ")
        known |= {alias: known[name]} if name in known else {}
    return known


def _tag(names: list[str]) -> None:
    with (HERE / "tagged").open("a") as file:
        file.write(f"{names[0]} {names[1]}\n")


def _pushed(image: dict[str, Any], name: str, blobs: dict[str, str]) -> tuple[int, str, str]:
    found = re.fullmatch(r"([^/]+)/(.+):([^:/]+)", name)
    if found is None:
        return 1, "", f"no registry in {name}\n"
    address, repository, tag = found.groups()
    base = f"http://{address}/v2/{repository}"
    try:
        for digest in image["layers"]:
            with _request("POST", f"{base}/blobs/uploads/", b"") as answer:
                location = answer.headers["Location"]
            joint = "&" if "?" in location else "?"
            content = base64.b64decode(blobs[digest])
            _request("PUT", f"{location}{joint}digest={digest}", content).close()
        manifest = base64.b64decode(blobs[image["manifest"]])
        media_type = json.loads(manifest)["mediaType"]
        _request("PUT", f"{base}/manifests/{tag}", manifest, media_type).close()
    except OSError as error:
        return 1, "", f"{error}\n"
    return 0, f"{tag}: digest: {image['manifest']} size: {len(manifest)}\n", ""


def _request(
    method: str, url: str, body: bytes, media_type: str = "application/octet-stream"
) -> Any:
    headers = {"Content-Type": media_type}
    request = urllib.request.Request(url, body, headers, method=method)
    return urllib.request.urlopen(request, timeout=30)


if __name__ == "__main__":
    sys.exit(main())
