"""./dev itself: two instances side by side, everything repeatable, secrets of their own."""

import os
import shutil
import socket
import stat
import subprocess
import tempfile

import pytest

from support.dataplane import Postgres
from support.instance import DEV, Instance, eventually


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


class Server(Postgres):
    """A PostgreSQL as it stands on another machine: reached by TCP, with a password."""

    def __init__(self, base):
        super().__init__(base)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        with open(os.path.join(self.data, "postgresql.conf"), "a") as conf:
            conf.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\n"
                       "password_encryption = 'scram-sha-256'\nmax_connections = 200\n")
        with open(os.path.join(self.data, "pg_hba.conf"), "w") as rules:
            rules.write("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        self.start()
        self.sql("create role registries login createdb password 'of the server'", "postgres")

    def url(self, name):
        return f"postgresql:///{name}?host={self.run}&port={self.port}&user=portolan"

    def of(self, name):
        return f"postgres://registries:of%20the%20server@127.0.0.1:{self.port}/{name}"


@pytest.fixture
def server():
    base = tempfile.mkdtemp(prefix="pt-", dir="/tmp")
    os.chmod(base, 0o755)
    it = Server(base)
    try:
        yield it
    finally:
        it.stop("immediate")
        shutil.rmtree(base)


def test_databases_and_blobs_elsewhere(server):
    """No private PostgreSQL: everything is in one that was there before, and the blobs of one region are in
    a directory of their own."""
    blobs = tempfile.mkdtemp(prefix="pt-", dir="/tmp")
    os.chmod(blobs, 0o777)
    it = Instance()
    try:
        it.up("--control-db", server.of("c"), "--region-db", server.of("r_{region}"),
              "--set", f"region-blobs-of=westus2={blobs}/west", "--set", "log-level=debug")
        assert not os.path.exists(f"{it.state}/pg/data")
        assert "postgres" not in it.dev("status").stdout
        group = it.make_group()
        made = {where: it.make_registry(group, location=where) for where in ("eastus", "westus2")}
        for registry in made.values():
            registry.push_image("kept/elsewhere", "v1", os.urandom(10000))
        for where in made:
            assert server.sql("select count(*) from blobs", f"r_{where}") == "2"
        assert os.listdir(f"{blobs}/west") and not os.path.exists(f"{it.state}/regions/westus2/blobs")
        # The server restarts: the planes come back by themselves.
        server.stop()
        assert it.arm("GET", made["eastus"].id).status_code == 503
        server.start()
        eventually(lambda: made["eastus"].push_image("kept/elsewhere", "v2", b"after"), timeout=30)
        # Settings are remembered, changed and taken back; what is wrong is refused and not kept.
        it.dev("up")
        config = open(f"{it.state}/config").read()
        assert server.of("c") in config and "log-level = debug" in config
        for wrong in ("nonsense=1", "workers=many", "region-db-of=mars=postgres://x/y", "port=1", "x"):
            with pytest.raises(AssertionError):
                it.dev("up", "--set", wrong)
        assert open(f"{it.state}/config").read() == config
        it.dev("up", "--set", "log-level=")
        assert "log-level" not in open(f"{it.state}/config").read()
        assert stat.S_IMODE(os.stat(f"{it.state}/settings").st_mode) == 0o600
        assert "of%20the%20server" not in it.log_text()
        assert made["eastus"].call("GET", "/v2/kept/elsewhere/manifests/v2").status_code == 200
    finally:
        it.down()
        shutil.rmtree(blobs)
