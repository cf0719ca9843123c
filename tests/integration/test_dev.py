"""./dev itself: two instances side by side, everything repeatable, secrets of their own."""

import os
import stat
import subprocess

import pytest

from support.instance import DEV, Instance


@pytest.fixture(scope="module")
def two():
    instances = [Instance(), Instance()]
    try:
        yield [it.up() for it in instances]
    finally:
        for it in instances:
            it.down()


def test_two_instances_side_by_side(two):
    one, other = two
    assert one.port != other.port
    for name in ("AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID", "AZURE_CLIENT_ID",
                 "AZURE_CLIENT_SECRET"):
        assert one.env[name] != other.env[name], name
    for it in two:
        it.make_registry(it.make_group()).push_image("side/by-side", "v1")
    foreign = one.arm("GET", "/subscriptions", api="2022-12-01", token=other.token())
    assert foreign.status_code == 401


def test_up_again_changes_nothing(two):
    one = two[0]
    pids = {name: one.pid(name) for name in ("postgres", "edge", "controlplane")}
    secret = open(f"{one.state}/secrets.env").read()
    one.dev("up", "--port", "0")
    assert {name: one.pid(name) for name in pids} == pids
    assert open(f"{one.state}/secrets.env").read() == secret


def test_secrets_are_private(two):
    one = two[0]
    for name in ("secrets.env", "keys/service.key", "keys/edge.secret", "keys/ca.key",
                 "edge/haproxy.cfg", "config"):
        info = os.stat(f"{one.state}/{name}")
        assert stat.S_IMODE(info.st_mode) & 0o077 == 0, name
    assert os.stat(one.state).st_mode & 0o066 == 0
    shown = subprocess.run(["ps", "axo", "args"], text=True, capture_output=True).stdout
    assert one.env["AZURE_CLIENT_SECRET"] not in shown


def test_env_names_everything(two):
    assert set(two[0].env) == {
        "PORTOLAN_MANAGEMENT", "PORTOLAN_LOGIN", "PORTOLAN_DOMAIN", "PORTOLAN_CA_FILE",
        "PORTOLAN_STATE", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID", "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET", "AZURE_AUTHORITY_HOST"}


def test_status_down_and_up_again(two):
    other = two[1]
    group = other.make_group()
    registry = other.make_registry(group)
    digest = registry.push_image("over/down", "v1", b"still here")
    assert "postgres" in other.dev("status").stdout
    other.dev("down")
    assert not subprocess.run(["pgrep", "-f", f"{other.state}/"], capture_output=True).stdout
    other.dev("down")
    other.dev("up")
    reply = registry.call("GET", "/v2/over/down/manifests/v1")
    assert reply.status_code == 200 and reply.headers["Docker-Content-Digest"] == digest
    other.dev("down", "--purge")
    assert not os.path.exists(other.state)


def test_wrong_options_are_explained():
    for options in (["up", "--prot", "1"], ["nonsense"], ["up", "--port", "x"],
                    ["up", "--state", "relative with space"], ["up", "--domain", "UPPER"]):
        done = subprocess.run([DEV, *options], text=True, capture_output=True)
        assert done.returncode != 0 and "dev:" in done.stderr, options
