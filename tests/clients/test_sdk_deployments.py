"""Deployments and stacks with the published management libraries, unmodified."""

import os
import subprocess
import uuid

from support import sdk

HERE = os.path.dirname(os.path.abspath(__file__))
GALLERY = os.path.join(HERE, "..", "..", "templates", "gallery")
PYTHON = ("azure-identity==1.27.0", "azure-mgmt-resource==23.2.0")
NODE = ("@azure/identity@4.14.1", "@azure/arm-resources@5.2.0")


def drive(instance, command):
    names = [f"g{uuid.uuid4().hex[:8]}", f"r{uuid.uuid4().hex[:12]}"]
    done = subprocess.run(
        [*command, *names, os.path.join(GALLERY, "registry.json")], text=True, timeout=300,
        capture_output=True, env=sdk.environment(instance))
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "group delete", done.stdout


def test_python(instance):
    drive(instance, [sdk.python(*PYTHON), os.path.join(HERE, "sdk", "deployments.py")])


def test_javascript(instance):
    drive(instance, [sdk.node_program(), os.path.join(HERE, "sdk", "deployments.mjs"), sdk.node(*NODE)])
