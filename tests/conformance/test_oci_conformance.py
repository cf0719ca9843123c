"""The OCI distribution conformance program, for the released version of the specification and for its
development head, sha512 and anonymous mounts on: against a data plane of its own over plain HTTP, and
against a registry of an instance through the edge, over TLS. Both with token sign-in."""

import os
import subprocess
import xml.etree.ElementTree as tree

import pytest

from support import sdk
from support.dataplane import DataPlane

MODULE = "github.com/opencontainers/distribution-spec/conformance"
# The commit that all was compared with, and a later state of the same program: module proxies do not
# keep every commit.
VERSIONS = ("967efdc079b9", "v0.0.0-20260831232431-97274622c111")
# Both are the program's own defaults for these versions; said here so that they stay on.
ON = ("OCI_DATA_SHA512", "OCI_API_BLOBS_MOUNT_ANONYMOUS", "OCI_API_TAGS_DELETE",
      "OCI_API_MANIFESTS_DELETE", "OCI_API_BLOBS_DELETE", "OCI_API_REFERRER")
# Tests that must have run, by a part of their name: a run that skips them proves nothing.
SEEN = ("sha512", "mount", "referrers", "tag list", "chunked", "stream", "non-distributable")


@pytest.fixture(scope="module")
def program():
    """Its path and version. PORTOLAN_CONFORMANCE names a program that is there already."""
    given = os.environ.get("PORTOLAN_CONFORMANCE")
    if given:
        return given, "the program given"
    for version in VERSIONS:
        try:
            found = sdk.go_program(f"{MODULE}@{version}")
        except AssertionError as problem:
            reason = str(problem).strip()[-300:]
            continue
        return found, version
    pytest.skip(f"the conformance program cannot be installed at any of {', '.join(VERSIONS)}: "
                f"{reason}")


@pytest.fixture(scope="module")
def direct():
    it = DataPlane()
    try:
        it.start()
        yield {"OCI_REGISTRY": it.login_server, "OCI_TLS": "disabled", "OCI_USERNAME": it.admin[0],
               "OCI_PASSWORD": it.admin[1]}
    finally:
        it.close()


@pytest.fixture(scope="module")
def edge(instance):
    group = instance.make_group()
    registry = instance.make_registry(group, sku="Premium")
    yield {"OCI_REGISTRY": registry.host, "OCI_TLS": "enabled", "OCI_USERNAME": registry.name,
           "OCI_PASSWORD": registry.password, "SSL_CERT_FILE": instance.ca}
    instance.delete(registry.id)


@pytest.mark.parametrize("version", ["1.1", "dev"])
@pytest.mark.parametrize("way", ["direct", "edge"])
def test_conformance(program, way, version, tmp_path, request, tell):
    target = request.getfixturevalue(way)
    done = subprocess.run([program[0]], text=True, capture_output=True, timeout=600, cwd=tmp_path, env={
        **os.environ, **target, **dict.fromkeys(ON, "true"), "OCI_VERSION": version,
        "OCI_REPO1": f"v{version[0]}/one", "OCI_REPO2": f"v{version[0]}/two",
        "OCI_RESULTS_DIR": str(tmp_path)})
    suite = tree.parse(tmp_path / "junit.xml").getroot()
    cases = list(suite.iter("testcase"))
    failed = [case.get("name") for case in cases
              if case.find("failure") is not None or case.find("error") is not None]
    passed = [case.get("name").lower() for case in cases
              if case.find("skipped") is None and case.get("name") not in failed]
    tell(f"{program[1]}: {suite.get('tests')} tests, {len(failed)} failed, "
         f"{suite.get('skipped', 0)} skipped, {suite.get('disabled', 0)} disabled")
    assert not failed, failed[:20]
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(suite.get("tests")) > 500
    assert not [part for part in SEEN if not any(part in name for name in passed)], passed[:50]
