"""The published data-plane libraries, unmodified, against a registry behind the edge: listings in order
and pages, properties, locks, blobs and manifests up and down, deletes, and access without sign-in."""

import os
import subprocess
import uuid

import pytest

from support import sdk
from support.instance import eventually

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = ("azure-identity==1.27.0", "azure-containerregistry==1.2.0")
NODE = ("@azure/identity@4.14.1", "@azure/container-registry@1.1.2")


def python_command():
    return [sdk.python(*PYTHON), os.path.join(HERE, "sdk", "registry.py")]


def node_command():
    return [sdk.node_program(), os.path.join(HERE, "sdk", "registry.mjs"), sdk.node(*NODE)]


@pytest.fixture(scope="module")
def open_registry(instance):
    """Standard, because anonymous pull needs it."""
    group = instance.make_group()
    registry = instance.make_registry(group, sku="Standard", anonymousPullEnabled=True)
    yield registry
    instance.delete(registry.id)


@pytest.mark.parametrize("command", [python_command, node_command], ids=["python", "javascript"])
def test_data_plane_library(instance, open_registry, command):
    registry = open_registry

    def drive(last, *arguments):
        done = subprocess.run([*command(), registry.url, *arguments], text=True,
                              capture_output=True, timeout=300, env=sdk.environment(instance))
        assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
        assert done.stdout.splitlines()[-1] == last, done.stdout
    repository = "sdk/" + uuid.uuid4().hex[:8]
    drive("end", repository)
    # The policy may come to the data plane a moment after the registry has answered.
    eventually(lambda: instance.session.get(
        f"{registry.url}/oauth2/token", params={"service": registry.host}).status_code == 200)
    drive("anonymous end", repository, "anonymous")
