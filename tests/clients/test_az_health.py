"""az, unmodified, on the health of a registry. It looks the login server up by the whole of its name, where a
port is in its way: so the instance is at 443 here, in a network of its own."""

import uuid

import pytest

from support.az import KINDS, Az
from support.instance import Instance
from support.namespaces import wires_or_skip


@pytest.fixture(scope="module")
def instance():
    wires = wires_or_skip()
    it = None
    try:
        it = Instance(inside=["ip", "netns", "exec", wires.alone("health")])
        yield it.up(port=443)
    finally:
        if it is not None:
            it.down()
        wires.remove()


@pytest.fixture(scope="module", params=KINDS)
def az(instance, tmp_path_factory, request):
    made = Az(instance, tmp_path_factory.mktemp("az"), request.param)
    made.env["AZURE_CORE_ONLY_SHOW_ERRORS"] = "no"  # what is well it tells as a warning
    return made.register().sign_in()


def passed(az, *arguments):
    """The checks that are told of as good, of what is about registries: there are no docker and no helm."""
    done = az.run(["acr", "check-health", "--yes", "--ignore-errors", *arguments])
    assert done["code"] == 0, done
    return [line.removeprefix("WARNING: ").removesuffix(" : OK") for line in done["err"].splitlines()
            if line.endswith(" : OK")]


def test_health_of_a_registry(az, instance):
    group, name = f"g{uuid.uuid4().hex[:8]}", f"az{uuid.uuid4().hex[:10]}"
    az("group", "create", "-n", group, "-l", "eastus")
    host = az("acr", "create", "-g", group, "-n", name, "--sku", "Basic")["loginServer"]
    assert host == f"{name}.cr.{instance.domain}"
    of_registry = [f"DNS lookup to {host} at IP 127.0.0.1", f"Challenge endpoint https://{host}/v2/",
                   f"Fetch refresh token for registry '{host}'", f"Fetch access token for registry '{host}'"]
    assert passed(az, "-n", name) == of_registry
    assert passed(az) == []
    if az.kind == "newest":
        of_registry[-1] = f"Fetch access token for repository 'app' in registry '{host}'"
        assert passed(az, "-n", name, "--repository", "app") == of_registry
    az("acr", "check-health", "-n", name, "--yes", "--ignore-errors")
