"""The commands in README.md do what it says: every ```sh block of "A first hour" runs, in order, in
one shell, against an instance that is already up. So do those of docs/resources.md, before that hour's
groups are deleted."""

import os
import re
import shutil
import subprocess

import pytest

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


def commands_in(text):
    return re.findall(r"```sh\n(.*?)```", text, re.S)


@pytest.mark.skipif(shutil.which("az") is None, reason="az is not installed")
def test_first_hour(instance, tmp_path):
    text = open(os.path.join(ROOT, "README.md")).read()
    hour = text.split("## A first hour")[1].split("\n## ")[0]
    blocks = commands_in(hour)
    assert len(blocks) >= 4
    before, end, after = "\n".join(blocks).partition("az group delete")
    more = commands_in(open(os.path.join(ROOT, "docs", "resources.md")).read())
    assert end and more
    script = "\n".join(["set -euo pipefail", before, *more, end + after])
    env = {**os.environ, "PORTOLAN_STATE": instance.state, "AZURE_CONFIG_DIR": str(tmp_path / "az"),
           "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"), "TMPDIR": str(tmp_path)}
    for name in list(env):
        if name.startswith("AZURE_") and name != "AZURE_CONFIG_DIR":
            del env[name]
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=env, text=True,
                          capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '"v1"' in done.stdout


def test_demo(instance):
    done = subprocess.run(["bash", os.path.join(ROOT, "tests", "support", "demo")], text=True,
                          capture_output=True, timeout=300,
                          env={**os.environ, "PORTOLAN_STATE": instance.state})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for part in ("operation: Succeeded", "byte for byte the same", "→ 401", "UNAUTHORIZED"):
        assert part in done.stdout, part
    assert instance.env["AZURE_CLIENT_SECRET"] not in done.stdout + done.stderr


def test_code_shown_is_the_code_there_is():
    """docs/adding-a-type.md quotes files: every piece stands in its file as it is shown."""
    text = open(os.path.join(ROOT, "docs", "adding-a-type.md")).read()
    pieces = re.findall(r"From `([^`]+)`:\n\n```c\n(.*?)```", text, re.S)
    assert len(pieces) == text.count("```c\n") >= 6
    for path, piece in pieces:
        assert piece in open(os.path.join(ROOT, path)).read(), (path, piece)
