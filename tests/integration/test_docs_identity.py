"""The commands of docs/identity.md, in order, in one shell, against an instance."""

import os
import re
import subprocess

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


def test_commands(instance):
    text = open(os.path.join(ROOT, "docs", "identity.md")).read()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    assert len(blocks) == 5
    done = subprocess.run(["bash", "-c", "set -euo pipefail\n" + "\n".join(blocks)], text=True,
                          env={**os.environ, **instance.env}, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '"decidedBy":"roleAssignment"' in done.stdout
    assert instance.subscription in done.stdout and '"principalType":"Group"' in done.stdout
