"""schemathesis against the management API: requests made from its descriptions, good and bad ones, whose
answers are no server errors and are what the description says. Our own description is
docs/generated/openapi.json; the published ones are used where they are there.

PORTOLAN_SOAK=SECONDS[:DESCRIPTION…] makes the run longer and takes all of them, or those named;
`./dev soak descriptions` does."""

import os
import re
import subprocess

import pytest

from support import contract, sdk
from support.described import DOCUMENT, PUBLISHED, Playground

SCHEMATHESIS = "schemathesis==4.32.5"
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance",
          "response_headers_conformance", "response_schema_conformance")
BRIEF_S = 25
SOAK_S, *NAMED = (os.environ.get("PORTOLAN_SOAK") or "0").split(":")
NAMES = [n for n in NAMED if n] or ["ours", "around", *PUBLISHED] if int(SOAK_S) \
    else ["ours", "around", "registries-2025-11-01"]


@pytest.fixture
def playground(instance):
    """One for each description: a name of two dots makes clients ask for what stands above."""
    it = Playground(instance)
    yield it
    it.remove()


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_as_described(instance, playground, tmp_path, name, tell):
    path = DOCUMENT
    if name not in ("ours", "around"):
        if not contract.is_there():
            pytest.skip(f"the published descriptions are not at {contract.SPECS}; our own is tested")
        path = os.path.realpath(os.path.join(contract.SPECS, PUBLISHED[name]))
    program = os.path.join(os.path.dirname(sdk.python(SCHEMATHESIS)), "schemathesis")
    seconds = int(SOAK_S) // len(NAMES) if int(SOAK_S) else BRIEF_S
    seed = [] if int(SOAK_S) else ["--seed", "1"]
    done = subprocess.run(
        [program, "run", playground.written(path, tmp_path, name), "--url", instance.management,
         "--tls-verify", instance.ca, "--header", f"Authorization: Bearer {instance.token(fresh=True)}",
         "--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing,stateful", "--max-time", str(seconds), *seed, "--no-color"],
        text=True, capture_output=True, cwd=tmp_path, timeout=2 * seconds + 300)
    tested = re.search(r"Test cases:\s+(\d+) generated", done.stdout)
    tell(f"{tested[1] if tested else 'no'} requests")
    assert done.returncode == 0, failures_of(done.stdout) + done.stderr[-2000:] + instance.log_tail()
    assert tested and int(tested[1]) > 50, done.stdout[-2000:]


def failures_of(text):
    """The failures themselves, without the warnings behind them."""
    begin = re.search(r"^=+ (ERRORS|FAILURES) =+$", text, re.M)
    return text[begin.start():].split("= WARNINGS =")[0][:20000] if begin else text[-5000:]
