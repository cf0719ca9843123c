"""The published management libraries, unmodified: create, update, list, poll and delete each type."""

import os
import subprocess
import uuid

from support import sdk

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = ("azure-identity==1.27.0", "azure-mgmt-containerregistry==15.0.0",
          "azure-mgmt-resource==26.0.0")


def names():
    return f"g{uuid.uuid4().hex[:8]}", f"r{uuid.uuid4().hex[:12]}"


def drive(instance, command, last="group delete"):
    done = subprocess.run(command, text=True, capture_output=True, timeout=300,
                          env=sdk.environment(instance))
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == last, done.stdout


def test_python(instance):
    drive(instance, [sdk.python(*PYTHON), os.path.join(HERE, "sdk", "manage.py"), *names()])


NODE = ("@azure/identity@4.14.1", "@azure/arm-containerregistry@12.0.0", "@azure/arm-resources@8.0.0")


def test_javascript(instance):
    packages = sdk.node(*NODE)
    drive(instance, [sdk.node_program(), os.path.join(HERE, "sdk", "manage.mjs"), packages, *names()])


MODULES = "github.com/Azure/azure-sdk-for-go/sdk"
GO = (f"{MODULES}/azcore@v1.24.0", f"{MODULES}/azidentity@v1.15.0",
      f"{MODULES}/resourcemanager/containerregistry/armcontainerregistry@v1.2.0",
      f"{MODULES}/resourcemanager/resources/armresources@v1.2.0")


def test_go(instance):
    program = sdk.go_test_program(os.path.join(HERE, "sdk", "manage.go"), *GO)
    drive(instance, [program, *names()])


# What the newest stable libraries of registries have no operations for.
PYTHON_MORE = ("azure-identity==1.27.0", "azure-mgmt-containerregistry==15.1.0b3",
               "azure-mgmt-containerregistrytasks==1.0.0b1")
NODE_MORE = ("@azure/identity@4.14.1", "@azure/arm-containerregistry@10.1.0")


def test_tasks_and_pipelines_in_python(instance, group):
    registry = instance.make_registry(group, sku="Premium")
    drive(instance, [sdk.python(*PYTHON_MORE), os.path.join(HERE, "sdk", "tasks.py"), group,
                     registry.name], "end")


def test_tasks_in_javascript(instance, group):
    registry = instance.make_registry(group, sku="Premium")
    drive(instance, [sdk.node_program(), os.path.join(HERE, "sdk", "tasks.mjs"), sdk.node(*NODE_MORE),
                     group, registry.name], "end")
