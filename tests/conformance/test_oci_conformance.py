"""The OCI distribution conformance program against a data plane of its own, over plain HTTP with
token sign-in, for the released version of the specification and for its development head."""

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as tree

import pytest

from support.dataplane import DataPlane

MODULE = "github.com/opencontainers/distribution-spec/conformance"
COMMIT = "967efdc079b9"


def go_version():
    if not shutil.which("go"):
        return (0, 0)
    text = subprocess.run(["go", "env", "GOVERSION"], text=True, capture_output=True).stdout
    found = re.match(r"go(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else (0, 0)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """PORTOLAN_CONFORMANCE names a program that is there already."""
    given = os.environ.get("PORTOLAN_CONFORMANCE")
    if given:
        return given
    if go_version() < (1, 24):
        pytest.skip("the conformance program needs Go 1.24 or later")
    folder = str(tmp_path_factory.mktemp("bin"))
    done = subprocess.run(["go", "install", f"{MODULE}@{COMMIT}"], text=True, capture_output=True,
                          env={**os.environ, "GOBIN": folder}, timeout=600)
    if done.returncode:
        pytest.skip("the conformance program cannot be installed: " + done.stderr.strip()[-300:])
    return os.path.join(folder, "conformance")


@pytest.fixture(scope="module")
def plane():
    it = DataPlane()
    try:
        yield it.start()
    finally:
        it.close()


@pytest.mark.parametrize("version", ["1.1", "dev"])
def test_conformance(program, plane, version, tmp_path):
    done = subprocess.run([program], text=True, capture_output=True, timeout=600, cwd=tmp_path, env={
        **os.environ, "OCI_REGISTRY": plane.login_server, "OCI_TLS": "disabled",
        "OCI_REPO1": f"v{version[0]}/one", "OCI_REPO2": f"v{version[0]}/two",
        "OCI_USERNAME": plane.admin[0], "OCI_PASSWORD": plane.admin[1], "OCI_VERSION": version,
        "OCI_RESULTS_DIR": str(tmp_path)})
    suite = tree.parse(tmp_path / "junit.xml").getroot()
    failed = [case.get("name") for case in suite.iter("testcase")
              if case.find("failure") is not None or case.find("error") is not None]
    print(f"OCI_VERSION={version}: {suite.get('tests')} tests, {len(failed)} failed, "
          f"{suite.get('skipped', 0)} skipped, {suite.get('disabled', 0)} disabled")
    assert not failed, failed[:20]
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(suite.get("tests")) > 500
