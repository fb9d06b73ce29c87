"""A workflow that uses the action, run by act, an independent implementation of the runner."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.engines import ROOT, Engine, script_environment
from tests.support.front import Auth, Behaviour, Front, User
from tests.support.outcomes import held
from tests.support.registry import Registry
from tests.support.runner import ACTION_IMAGE

WORKFLOW = """
on: push
jobs:
  publish:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - id: push
        uses: ./
        with:
          image: ${{ vars.ADDRESS }}/Acme/App
          source: small
          tags: |
            latest
            1.0, 1.0.0
          registry: ${{ vars.ADDRESS }}
          username: octocat
          password: ${{ secrets.PASSWORD }}
          report-file: reports/push.json
      - id: again
        uses: ./
        with:
          tags: |
            small => ${{ vars.ADDRESS }}/acme/app:latest
            no-such-image => ${{ vars.ADDRESS }}/acme/app:2
          fail-on-error: false
          registry-auth: |
            - registry: ${{ vars.ADDRESS }}
              username: octocat
              password: ${{ secrets.PASSWORD }}
      - name: Read what came out
        env:
          PUSHED: ${{ steps.push.outputs.pushed }}
          DIGEST: ${{ steps.push.outputs.digest }}
          FAILED: ${{ steps.again.outputs.failed }}
        run: |
          echo "result is ${{ steps.push.outputs.result }}"
          echo "pushed is $PUSHED"
          echo "first is ${{ fromJSON(steps.push.outputs.pushed)[0] }}"
          echo "digest is $DIGEST"
          echo "then ${{ steps.again.outputs.result }}, unchanged"
          echo "unchanged is ${{ steps.again.outputs.unchanged }}"
          echo "failed is $FAILED"
          cat "${{ steps.push.outputs.report }}"
          find . -path ./.git -prune -o -type f -print | sed 's/^/left /'
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Yield a repository with the action, whose image is built already, and the workflow."""
    action = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert action.count("image: Dockerfile") == 1
    folder = tmp_path / "app"
    (folder / ".github/workflows").mkdir(parents=True)
    (folder / "action.yml").write_text(
        action.replace("image: Dockerfile", f"image: docker://{ACTION_IMAGE}"), encoding="utf-8"
    )
    (folder / ".github/workflows/push.yml").write_text(WORKFLOW)
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=x"]):
        subprocess.run([*git, *command], check=True)
    return folder


def act(
    workspace: Path, engine: Engine, *, secrets: Mapping[str, str], variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run the workflow, with its own home and nothing pulled; secrets by the environment."""
    home = workspace.parent / "home"
    home.mkdir()
    path = script_environment("tools-get", "act")["PATH"]
    command = ["act", "push", "-C", str(workspace), "-P", "ubuntu-latest=act-runner:local"]
    command += ["--pull=false", "--action-offline-mode", "--no-cache-server", "--rm"]
    command += [word for name in secrets for word in ("--secret", name)]
    command += [word for pair in variables.items() for word in ("--var", "=".join(pair))]
    return subprocess.run(
        command,
        env={**engine.environ, "PATH": path, "HOME": str(home), **secrets},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=240,
    )


def test_a_workflow_uses_it_and_reads_its_outputs(
    workspace: Path, classic: Engine, front: Front, registry: Registry
) -> None:
    users = {"octocat": User(password="s3cret-password")}
    front.set(Behaviour(auth=Auth(mode="token", users=users)))
    classic.make_image("small", layers=2)
    done = act(
        workspace,
        classic,
        secrets={"PASSWORD": "s3cret-password"},
        variables={"ADDRESS": front.address},
    )
    log = done.stdout
    assert done.returncode == 0, log
    address = f"{front.address}/acme/app"
    digest = held(registry.address, f"{address}:1.0")
    assert "result is success" in log
    assert f'pushed is ["{address}:latest","{address}:1.0","{address}:1.0.0"]' in log
    assert f"first is {address}:latest" in log
    assert f"digest is {digest}" in log
    assert "then partial, unchanged" in log
    assert f'failed is ["{address}:2"]' in log
    # the requested report, and no other file of ours in the workspace
    assert len(re.findall(r'"result": ?"success"', log)) == 1
    checked_out = {"./action.yml", "./.github/workflows/push.yml"}
    assert set(re.findall(r"left (\./\S+)", log)) == checked_out | {"./reports/push.json"}
    # the job summary reached the runner, and no secret the log
    assert "3 of 3 tags pushed" in log
    assert "s3cret-password" not in log
