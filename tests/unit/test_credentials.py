"""Finding credentials, and writing the private Docker configuration."""

import base64
import json
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghcr_push.credentials import (
    Credential,
    docker_config_folder,
    engine_auth,
    private_docker_config,
)
from ghcr_push.credentials.credential import key_of, registry_of
from ghcr_push.credentials.resolution import resolve

SECRET = "s3cret:with@signs"
USER = Credential(username="octocat", password=SECRET)
INDEX = "https://index.docker.io/v1/"


def auth(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


Write = Callable[..., dict[str, str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a Docker configuration and returns the environment for it."""

    def written(**config: object) -> dict[str, str]:
        folder = tmp_path / "docker"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config))
        return {"DOCKER_CONFIG": str(folder), "PATH": str(tmp_path / "bin")}

    return written


Helper = Callable[[str, str], Path]


@pytest.fixture
def helper(tmp_path: Path) -> Helper:
    """Return a function that puts a credential helper on the path and returns its record."""

    def made(name: str, body: str) -> Path:
        program = tmp_path / "bin" / f"docker-credential-{name}"
        program.parent.mkdir(exist_ok=True)
        record = tmp_path / f"{name}.asked"
        program.write_text(
            f"#!{sys.executable}\nimport json, sys, time\nasked = sys.stdin.read()\n"
            f"open({str(record)!r}, 'a').write(repr((sys.argv[1:], asked)))\n{body}\n"
        )
        program.chmod(0o755)
        return record

    return made


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("ghcr.io", "ghcr.io"),
        ("GHCR.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/", "ghcr.io"),
        ("https://ghcr.io/v1/", "ghcr.io"),
        ("https://ghcr.io/v2", "ghcr.io"),
        ("http://localhost:5000", "localhost:5000"),
        ("ghcr.io/acme", "ghcr.io/acme"),
        (INDEX, "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("docker.io", "docker.io"),
        ("", ""),
    ],
)
def test_spellings_of_registries(key: str, registry: str) -> None:
    assert registry_of(key) == registry


def test_docker_has_a_name_of_its_own_for_its_hub() -> None:
    assert (key_of("docker.io"), key_of("ghcr.io")) == (INDEX, "ghcr.io")


def test_the_docker_configurations_folder() -> None:
    assert docker_config_folder({"DOCKER_CONFIG": "/a", "HOME": "/b"}) == Path("/a")
    assert docker_config_folder({"HOME": "/b"}) == Path("/b/.docker")
    assert docker_config_folder({}) is None


def test_explicit_credentials_come_first_and_serve_one_registry(write: Write) -> None:
    environment = write(auths={"ghcr.io": auth("other:word"), "quay.io": auth("q:w")})
    resolved = resolve(["ghcr.io", "quay.io", "gcr.io"], {"https://ghcr.io": USER}, environment)
    assert resolved.credentials == {
        "ghcr.io": USER,
        "quay.io": Credential(username="q", password="w"),
    }
    assert resolved.notices == ()


@pytest.mark.parametrize("key", ["ghcr.io", "https://ghcr.io", "https://ghcr.io/v1/"])
@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (auth(f"octocat:{SECRET}"), USER),
        (auth(f"octocat:{SECRET}\0\0"), USER),
        ({"username": "octocat", "password": SECRET}, USER),
        (
            {**auth("u:"), "identitytoken": "identity"},
            Credential(username="u", identity_token="identity"),
        ),
        ({"identitytoken": "identity"}, Credential(identity_token="identity")),
        ({}, None),
        ({"email": "a@b"}, None),
        ("nonsense", None),
    ],
)
def test_credentials_in_dockers_configuration(
    write: Write, key: str, entry: object, expected: Credential | None
) -> None:
    resolved = resolve(["ghcr.io"], {}, write(auths={key: entry}))
    assert resolved.credentials.get("ghcr.io") == expected
    assert resolved.notices == ()


def test_the_hub_is_found_under_its_key(write: Write) -> None:
    environment = write(auths={"docker.io": auth("podman:x"), INDEX: auth("docker:x")})
    credentials = resolve(["docker.io"], {}, environment).credentials
    assert credentials == {"docker.io": Credential(username="docker", password="x")}


def test_a_key_for_one_repository_is_not_for_all(write: Write) -> None:
    assert resolve(["ghcr.io"], {}, write(auths={"ghcr.io/acme": auth("u:p")})).credentials == {}


def test_a_folder_without_configuration_is_not_reported(tmp_path: Path) -> None:
    assert resolve(["ghcr.io"], {}, {"HOME": str(tmp_path)}).notices == ()
    assert resolve(["ghcr.io"], {}, {}).notices == ()


@pytest.mark.parametrize("text", ["{", "[]", "\x00", "[" * 9999])
def test_a_broken_configuration_is_reported_and_skipped(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    resolved = resolve(["ghcr.io"], {}, {"DOCKER_CONFIG": str(tmp_path)})
    assert resolved.credentials == {}
    assert "not a Docker configuration in JSON" in resolved.notices[0]


def test_an_unreadable_configuration_is_reported(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    (notice,) = resolve(["ghcr.io"], {}, {"DOCKER_CONFIG": str(tmp_path)}).notices
    assert "cannot be read (Is a directory)" in notice


@pytest.mark.parametrize("value", ["%%%", "bm9jb2xvbg==", "/////w=="])
def test_a_broken_entry_is_reported_without_its_content(write: Write, value: str) -> None:
    resolved = resolve(["ghcr.io"], {}, write(auths={"ghcr.io": {"auth": value}}))
    assert resolved.credentials == {}
    (notice,) = resolved.notices
    assert "ghcr.io" in notice
    assert value not in notice


GIVES = """
print(json.dumps({"ServerURL": asked, "Username": "octocat", "Secret": "s3cret:with@signs"}))
"""


def test_a_helper_is_asked_on_its_input(write: Write, helper: Helper) -> None:
    record = helper("store", GIVES)
    environment = write(credsStore="store", auths={"ghcr.io": {}})
    resolved = resolve(["ghcr.io", "docker.io"], {}, environment)
    assert resolved.credentials == {"ghcr.io": USER, "docker.io": USER}
    assert record.read_text() == "(['get'], 'ghcr.io')" + f"(['get'], '{INDEX}')"


def test_a_registrys_own_helper_comes_before_that_of_all(write: Write, helper: Helper) -> None:
    own, general = helper("own", GIVES), helper("general", GIVES)
    resolve(["ghcr.io"], {}, write(credsStore="general", credHelpers={"https://ghcr.io": "own"}))
    assert (own.exists(), general.exists()) == (True, False)


def test_a_helper_may_give_an_identity_token(write: Write, helper: Helper) -> None:
    helper("store", GIVES.replace("octocat", "<token>"))
    credentials = resolve(["ghcr.io"], {}, write(credsStore="store")).credentials
    assert credentials == {"ghcr.io": Credential(identity_token=SECRET)}


def test_a_helper_that_is_not_here_is_named(write: Write) -> None:
    environment = write(credsStore="desktop", auths={"ghcr.io": auth("file:word")})
    resolved = resolve(["ghcr.io", "quay.io"], {}, environment)
    assert resolved.credentials["ghcr.io"].username == "file"
    (notice,) = resolved.notices
    assert "docker-credential-desktop, which is not installed here" in notice


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("print('credentials not found in native keychain'); sys.exit(1)", None),
        ("print('no keyring'); sys.exit(3)", "failed with 3: no keyring"),
        ("print('no token ghs_0123456789abcdefghij'); sys.exit(3)", "failed with 3: no token ***"),
        (GIVES + "sys.exit(2)", "failed with 2"),
        ("print('{}')", "gave no credentials"),
        ("print('hello')", "gave no credentials"),
    ],
)
def test_answers_of_helpers_without_credentials(
    write: Write, helper: Helper, body: str, why: str | None
) -> None:
    helper("store", body)
    resolved = resolve(["ghcr.io"], {}, write(credsStore="store"))
    assert resolved.credentials == {}
    ending = "continuing without credentials for ghcr.io."
    notice = f"The credential helper docker-credential-store {why}; {ending}"
    assert list(resolved.notices) == ([notice] if why else [])


def test_a_helper_that_hangs_is_ended(write: Write, helper: Helper) -> None:
    helper("store", "time.sleep(60)")
    resolved = resolve(["ghcr.io"], {}, write(credsStore="store"), helper_seconds=0.2)
    assert "took longer than 0.2 s; continuing without" in resolved.notices[0]


def test_a_helper_that_cannot_run_is_reported(write: Write, helper: Helper, tmp_path: Path) -> None:
    helper("store", "")
    (tmp_path / "bin" / "docker-credential-store").write_text("#!/no/such/interpreter\n")
    (notice,) = resolve(["ghcr.io"], {}, write(credsStore="store")).notices
    assert "cannot be run (No such file or directory)" in notice


def test_a_helper_outside_the_path_is_not_run(write: Write, helper: Helper, tmp_path: Path) -> None:
    record = helper("store", GIVES)
    (tmp_path / "docker-credential-x").mkdir()
    resolve(["ghcr.io"], {}, write(credsStore="x/../bin/docker-credential-store"))
    assert not record.exists()


def test_the_private_configuration_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    token = Credential(identity_token="identity")
    with private_docker_config({"docker.io": USER, "ghcr.io": token}, None, tmp_path) as folder:
        file = folder / "config.json"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert json.loads(file.read_text()) == {
            "auths": {INDEX: auth(f"octocat:{SECRET}"), "ghcr.io": {"identitytoken": "identity"}}
        }
        assert [path.name for path in folder.iterdir()] == ["config.json"]
    assert list(tmp_path.iterdir()) == []


def test_settings_that_docker_needs_to_reach_its_engine_are_kept(tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "contexts" / "meta").mkdir(parents=True)
    (base / "ca.pem").write_text("certificate")
    kept = {
        "HttpHeaders": {"A": "b"},
        "currentContext": "far",
        "proxies": {"default": {"httpProxy": "http://p"}},
    }
    dropped = {
        "auths": {"quay.io": auth("q:w")},
        "credsStore": "desktop",
        "credHelpers": {"ghcr.io": "x"},
    }
    (base / "config.json").write_text(json.dumps({**kept, **dropped}))
    with private_docker_config({"ghcr.io": USER}, base, tmp_path) as folder:
        config = json.loads((folder / "config.json").read_text())
        assert config == {**kept, "auths": {"ghcr.io": auth(f"octocat:{SECRET}")}}
        assert (folder / "contexts" / "meta").is_dir()
        assert (folder / "ca.pem").read_text() == "certificate"
        assert not (folder / "key.pem").exists()
    assert not folder.exists()
    assert (base / "contexts" / "meta").is_dir()
    assert (base / "ca.pem").exists()


def test_the_private_configuration_goes_whatever_happens(tmp_path: Path) -> None:
    def break_off() -> None:
        with private_docker_config({"ghcr.io": USER}, None, tmp_path):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    with private_docker_config({"ghcr.io": USER}, None, tmp_path) as folder:
        (folder / "config.json").unlink()
    with private_docker_config({"ghcr.io": USER}, None, tmp_path) as folder:
        shutil.rmtree(folder)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_reported(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        private_docker_config({"ghcr.io": USER}, None, tmp_path / "none"),
    ):
        pass


names = st.text(st.characters(codec="utf-8", exclude_characters=":"), min_size=1)
secrets = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(names, secrets)
def test_docker_reads_the_written_configuration(
    tmp_path_factory: pytest.TempPathFactory, username: str, password: str
) -> None:
    credentials = {"ghcr.io": Credential(username=username, password=password)}
    parent = tmp_path_factory.getbasetemp()
    with private_docker_config(credentials, None, parent) as folder:
        assert resolve(["ghcr.io"], {}, {"DOCKER_CONFIG": str(folder)}).credentials == credentials


def test_the_engines_header() -> None:
    def read(header: str) -> object:
        return json.loads(base64.urlsafe_b64decode(header))

    assert read(engine_auth("docker.io", USER)) == {
        "username": "octocat",
        "password": SECRET,
        "serveraddress": INDEX,
    }
    assert read(engine_auth("ghcr.io", Credential(identity_token="identity"))) == {
        "identitytoken": "identity",
        "serveraddress": "ghcr.io",
    }
    assert not set("+/") & set(engine_auth("ghcr.io", Credential(username="u", password="ÿþ?>~")))


def test_no_secret_in_a_repr(write: Write) -> None:
    resolved = resolve(["ghcr.io"], {}, write(auths={"ghcr.io": auth(f"octocat:{SECRET}")}))
    assert "octocat" in repr(resolved)
    assert SECRET not in repr(resolved)
    assert "identity" not in repr(Credential(identity_token="identity")).replace("identity_", "")
