"""The commands of docs/templates.md, in order, in one shell, against an instance; and that its table of
the gallery is whole."""

import os
import re
import shutil
import subprocess

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("PORTOLAN_BUILD_DIR") or os.path.join(ROOT, "build", "release")


def text():
    with open(os.path.join(ROOT, "docs", "templates.md"), encoding="utf-8") as f:
        return f.read()


def test_commands(instance, tmp_path):
    blocks = re.findall(r"```sh\n(.*?)```", text(), re.S)
    assert len(blocks) == 5  # the first is of the command that needs no server: see below
    shutil.copytree(os.path.join(ROOT, "templates", "gallery"), tmp_path / "templates" / "gallery")
    done = subprocess.run(["bash", "-c", "set -euo pipefail\n" + "\n".join(blocks[1:])], text=True,
                          cwd=tmp_path, env={**os.environ, **instance.env}, capture_output=True,
                          timeout=180)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "/registries/stackdemo1\n" in done.stdout


def test_commands_without_a_server():
    block = re.search(r"```sh\n(.*?)```", text(), re.S).group(1)
    assert "./dev template" in block
    done = subprocess.run(["bash", "-c", "set -euo pipefail\n" + block], text=True, cwd=ROOT,
                          env={**os.environ, "PORTOLAN_BUILD_DIR": BUILD}, capture_output=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    assert '"templateHash"' in done.stdout and "graph TD" in done.stdout


def test_gallery_is_whole():
    told = set(re.findall(r"^\| `([a-z-]+\.json)` \|", text(), re.M))
    assert told == set(os.listdir(os.path.join(ROOT, "templates", "gallery")))
