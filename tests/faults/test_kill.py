"""Killed processes, restarted databases, two control planes: what was acknowledged stays, what was
begun ends, nothing is left behind."""

import concurrent.futures
import contextlib
import fcntl
import os
import random
import signal
import socket
import ssl
import subprocess
import tempfile
import time

import pytest
import requests

from support.instance import API, GROUPS_API, Instance, Registry, eventually

pytestmark = pytest.mark.sanitized

# A transaction that a stalled process has open is ended by the database after a minute.
TAKEOVER_S = 150


@pytest.fixture(scope="module")
def hurt():
    """One instance for the tests of this file; each leaves it running and empty."""
    it = Instance()
    try:
        yield it.up()
    finally:
        it.down()


def leftovers(instance):
    """Everything that a registry has outside its row, for all registries together."""
    def names(*parts):
        path = os.path.join(instance.state, *parts)
        return sorted(os.listdir(path)) if os.path.isdir(path) else []
    found = {"scan": instance.dataplanes(),
             "services": [n for n in names("s6", "services") if n.startswith("dataplane-")],
             "rows": instance.sql("control", "select id from resources where type_key like '%registries'"),
             "placements": instance.sql("control", "select registry_uid from placements"),
             "secrets": instance.sql("control", "select resource_uid from resource_secrets")}
    for name in ("hosts.map", "ports.map"):
        with open(os.path.join(instance.state, "edge", name)) as f:
            found[name] = [line for line in f if line.strip()]
    for region in names("regions"):
        found[f"{region} rows"] = instance.sql(region, "select id from registries")
        found[f"{region} blobs"] = names("regions", region, "blobs")
    shown = subprocess.run(["pgrep", "-f", f"{instance.state}/bin/portolan-dataplane"], text=True,
                           capture_output=True).stdout.split()
    found["processes"] = shown
    return {what: things for what, things in found.items() if things}


def nothing_left(instance):
    left = leftovers(instance)
    assert not left, left
    return True


def kill(instance, name, how=signal.SIGKILL):
    return instance.kill(name, how)


def control_is_up(instance):
    reply = instance.session.get(f"{instance.management}/metadata/endpoints?api-version=2022-09-01")
    return reply.status_code == 200


def patient(call, timeout=60):
    """Repeats a request while the control plane restarts, as a client with retries does."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            reply = call()
            if reply.status_code not in (502, 503):
                return reply
        except requests.RequestException:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_data_plane_comes_back_without_the_control_plane(hurt):
    group = hurt.make_group()
    registry = hurt.make_registry(group)
    digest = registry.push_image("kept/image", "v1", b"kept")
    password, name = registry.password, hurt.dataplane_of(registry.id)
    hurt.stop("controlplane")
    try:
        for _ in range(2):
            time.sleep(1.1)  # the supervisor paces restarts of a service younger than a second
            before = kill(hurt, name)
            reply = eventually(lambda: (r := registry.call("GET", "/v2/kept/image/manifests/v1"))
                               .status_code == 200 and r)
            assert reply.headers["Docker-Content-Digest"] == digest
            assert hurt.pid(name) not in (before, -1)
        assert registry.push_image("kept/image", "v2", b"also") and password
    finally:
        hurt.start("controlplane")
    eventually(lambda: control_is_up(hurt))
    hurt.delete(hurt.group_id(group), api=GROUPS_API)
    eventually(lambda: nothing_left(hurt))


@pytest.mark.parametrize("seed", range(6))
def test_control_plane_killed_in_the_middle(hurt, seed):
    """Creates and deletes with the control plane killed at random moments in between."""
    chance = random.Random(seed)
    group = hurt.make_group()
    names = [f"mid{seed}x{i}{chance.randrange(16**6):06x}" for i in range(5)]
    body = {"location": "eastus", "sku": {"name": "Basic"}, "properties": {"adminUserEnabled": True}}

    def put(name):
        return patient(lambda: hurt.arm("PUT", hurt.registry_id(group, name), body))
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        pending = [pool.submit(put, n) for n in names]
        time.sleep(chance.uniform(0.005, 0.25))
        kill(hurt, "controlplane")
        replies = [p.result() for p in pending]
    assert all(r.status_code in (200, 201) for r in replies), [r.text for r in replies]

    def settled(name):
        reply = patient(lambda: hurt.arm("GET", hurt.registry_id(group, name)))
        return reply.json()["properties"]["provisioningState"] == "Succeeded"
    for name in names:
        eventually(lambda: settled(name), timeout=60)
    for reply in replies:  # the operations that were handed out end as well
        url = reply.headers.get("Azure-AsyncOperation")
        if url:
            eventually(lambda: patient(lambda: hurt.arm("GET", url, api=None)).json()["status"]
                       == "Succeeded", timeout=60)
    for name in names:
        Registry(hurt, group, name).push_image("a/b", "v1", name.encode())

    time.sleep(1.1)  # the supervisor paces restarts of a service younger than a second
    gone = hurt.arm("DELETE", hurt.group_id(group), api=GROUPS_API)
    assert gone.status_code == 202
    time.sleep(chance.uniform(0.005, 0.4))
    kill(hurt, "controlplane")
    eventually(lambda: patient(lambda: hurt.arm("GET", hurt.group_id(group), api=GROUPS_API))
               .status_code == 404, timeout=60)
    final = patient(lambda: hurt.arm("GET", gone.headers["Location"], api=None))
    assert final.status_code in (200, 204)
    eventually(lambda: nothing_left(hurt), timeout=30)


def test_postgres_restart(hurt):
    group = hurt.make_group()
    registry = hurt.make_registry(group)
    registry.push_image("over/restart", "v1", b"before")
    for stop in (signal.SIGINT, signal.SIGQUIT):  # fast, and immediate: as a crash
        hurt.stop("postgres") if stop is signal.SIGINT else kill_postgres(hurt, stop)
        if stop is signal.SIGINT:
            assert patient_status(registry, "/v2/over/restart/manifests/v1") in (200, 503)
            refused = hurt.arm("GET", registry.id)
            assert refused.status_code == 503 and int(refused.headers["Retry-After"]) >= 1
            hurt.start("postgres")
        eventually(lambda: hurt.arm("GET", registry.id).status_code == 200, timeout=30)
        eventually(lambda: registry.call("GET", "/v2/over/restart/tags/list").status_code == 200,
                   timeout=30)
        registry.push_image("over/restart", f"after-{int(stop)}", b"after")
    other = hurt.make_registry(group)
    other.push_image("new/one", "v1")
    hurt.delete(hurt.group_id(group), api=GROUPS_API)
    eventually(lambda: nothing_left(hurt))


def kill_postgres(instance, how):
    pid = instance.kill("postgres", how)
    eventually(lambda: instance.pid("postgres") not in (pid, -1))


def patient_status(registry, path):
    return registry.call("GET", path).status_code


@contextlib.contextmanager
def second_control_plane(instance, *options):
    """Another copy on the same database, under no supervisor."""
    run = f"{instance.state}/run"
    command = [f"{instance.state}/bin/portolan-controlplane", "serve", "--config",
               f"{instance.state}/config", *options]
    for host in ("", "login-", "graph-", "vault-", "blob-"):
        command += [f"--{host}edge-listen", f"unix:{run}/{host or 'management-'}2.sock"]
    owner = os.stat(run).st_uid
    if os.geteuid() == 0 and owner != 0:
        command = ["setpriv", f"--reuid={owner}", f"--regid={owner}", "--clear-groups"] + command
    with tempfile.TemporaryFile("w") as log:
        it = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: os.path.exists(f"{run}/management-2.sock"))
        yield it
    finally:
        it.send_signal(signal.SIGTERM)
        it.wait(30)


def one_of_everything(instance, made):
    """Each registry has one data plane, one port and one operation, which went well."""
    assert len(instance.dataplanes()) == len(made)
    ended = instance.sql("control", "select resource_uid, count(*), count(*) filter (where status = "
                         "'Succeeded') from operations where verb = 'PUT' and type_key like "
                         "'%registries' and resource_uid in (select uid from resources) group by 1")
    assert len(ended) == len(made) and all(n == ok for _, n, ok in ended), ended
    owners = instance.sql("control", "select count(distinct port), count(*) from placements")
    assert owners == [[str(len(made))] * 2]
    return True


def test_two_control_planes_share_the_work(hurt):
    """A second copy on the same database, the first one killed now and then: every operation ends
    once, and each registry has exactly one of everything."""
    with second_control_plane(hurt):
        group = hurt.make_group()
        made = [hurt.make_registry(group, wait=False) for _ in range(8)]
        time.sleep(0.05)
        kill(hurt, "controlplane")
        for registry in made:
            eventually(lambda: patient(lambda: hurt.arm("GET", registry.id))
                       .json()["properties"]["provisioningState"] == "Succeeded", timeout=60)
            registry.push_image("one/only", "v1")
        one_of_everything(hurt, made)
        hurt.delete(hurt.group_id(group), api=GROUPS_API)
        eventually(lambda: nothing_left(hurt), timeout=30)


def stall(instance):
    """Stops the control plane where it stands, but not between the two halves of a change of the edge's
    files: that lock is given back only by going on or by ending, and the other copy needs it."""
    lock = os.open(f"{instance.state}/edge/maps.lock", os.O_RDWR)
    try:
        for _ in range(100):
            pid = kill(instance, "controlplane", signal.SIGSTOP)
            for _ in range(40):
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return pid
                time.sleep(0.05)
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.01)
    finally:
        os.close(lock)
    raise AssertionError("the control plane never gives the edge's files back")


def test_lease_lost_in_the_middle(hurt):
    """A control plane that stands still past its leases wakes in the middle of steps that another has
    taken over and ended: it changes nothing any more, not even where a registry of the same name has been
    made since."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]

    def ask(method, path, body=None, api=API):
        return hurt.session.request(method, f"http://127.0.0.1:{port}{path}", json=body, timeout=60,
                                    params={"api-version": api},
                                    headers={"Authorization": f"Bearer {hurt.token()}"})

    def settled(registry):
        reply = ask("GET", registry.id)
        return reply.status_code == 200 and \
            reply.json()["properties"]["provisioningState"] == "Succeeded"
    group = hurt.make_group()
    with second_control_plane(hurt, "--listen", f"127.0.0.1:{port}"):
        eventually(lambda: ask("GET", hurt.group_id(group), api=GROUPS_API).status_code == 200)
        made = [hurt.make_registry(group, wait=False) for _ in range(6)]
        time.sleep(random.uniform(0, 0.05))
        first = stall(hurt)
        try:
            for registry in made:
                eventually(lambda: settled(registry), timeout=TAKEOVER_S)
        finally:
            os.kill(first, signal.SIGCONT)
        eventually(lambda: control_is_up(hurt))
        for registry in made:
            registry.push_image("one/only", "v1")
        one_of_everything(hurt, made)
        # The same with deletions, and new registries of these names before it wakes.
        for registry in made:
            assert hurt.arm("DELETE", registry.id).status_code == 202
        time.sleep(random.uniform(0, 0.1))
        assert stall(hurt) == first
        try:
            for registry in made:
                eventually(lambda: ask("GET", registry.id).status_code == 404, timeout=TAKEOVER_S)
                assert ask("PUT", registry.id, {"location": "eastus", "sku": {"name": "Basic"},
                                                "properties": {"adminUserEnabled": True}}
                           ).status_code == 201
                eventually(lambda: settled(registry), timeout=TAKEOVER_S)
            planes = {name: hurt.pid(name) for name in hurt.dataplanes()}
        finally:
            os.kill(first, signal.SIGCONT)
        eventually(lambda: control_is_up(hurt))
        hurt.finish(hurt.arm("PATCH", made[0].id, {"tags": {"woke": "up"}}))
        one_of_everything(hurt, made)
        assert {name: hurt.pid(name) for name in hurt.dataplanes()} == planes
        for registry in made:
            again = Registry(hurt, group, registry.name)
            assert again.call("GET", "/v2/one/only/tags/list").status_code == 404
            again.push_image("one/only", "v2")
        hurt.delete(hurt.group_id(group), api=GROUPS_API)
        eventually(lambda: nothing_left(hurt), timeout=30)


def test_cut_off_uploads_leave_nothing(hurt):
    """A client that stops in the middle of an upload: no blob, no temporary file after the sweep."""
    group = hurt.make_group()
    registry = hurt.make_registry(group)
    begun = registry.call("POST", "/v2/cut/off/blobs/uploads/")
    token = registry.access_token("repository:cut/off:pull,push")
    context = ssl.create_default_context(cafile=hurt.ca)
    host = registry.host.split(":")[0]
    with socket.create_connection(("127.0.0.1", int(hurt.port))) as raw:
        with context.wrap_socket(raw, server_hostname=host) as sock:
            sock.sendall((f"PATCH {begun.headers['Location']} HTTP/1.1\r\nHost: {registry.host}\r\n"
                          f"Authorization: Bearer {token}\r\nContent-Length: 1000000\r\n"
                          "Content-Type: application/octet-stream\r\n\r\n").encode() + b"x" * 300000)
            time.sleep(0.2)
    listed = hurt.sql("eastus", "select count(*) from blobs")
    assert listed == [["0"]]
    again = registry.call("GET", begun.headers["Location"])
    assert again.status_code in (204, 404)
    kill(hurt, hurt.dataplane_of(registry.id))
    eventually(lambda: registry.call("GET", "/v2/").status_code == 200)

    def stored():
        folder = os.path.join(hurt.state, "regions", "eastus", "blobs")
        return [os.path.join(d, f) for d, _, files in os.walk(folder) for f in files if f != "owner.lock"]
    eventually(lambda: not stored())
    assert registry.call("GET", begun.headers["Location"]).status_code == 404
    hurt.delete(hurt.group_id(group), api=GROUPS_API)
