"""./dev bench tokens: credentials at the scale of devices. One registry with a million tokens and an
installation with three: access tokens from passwords at a steady rate and from a refresh token as fast
as it goes, a bearer token checked again and for the first time, one scope map changed under all of them,
and tokens made through the management API. --parts runs some of it.

The million rows are filled in by SQL, which the tier's limit does not count; what the management API does
is measured apart. Load and service share the machine. Prints a table and, on the last line, the same as
JSON. Asserts only that everything worked; --quick is for the test of this program's form."""

import argparse
import hashlib
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from support.dataplane import DataPlane
from support.instance import GROUPS_API, Instance
from support.rawhttp import Plane, bearer_of, call

API = "2025-11-01"
SALT = "00112233445566778899aabbccddeeff"
SCOPE = "repository:team/a:pull"
BATCH = 100_000
PARTS = ("bearer", "data_plane", "create", "publish")
LUA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokens.lua")


def batches(count):
    """First and last number of each part: one statement has a minute."""
    return [(n, min(n + BATCH - 1, count)) for n in range(1, count + 1, BATCH)]


def fill(sql, registry, count, scope_map, prefix="device"):
    """`count` tokens with one password each, all the same one; its text is returned."""
    password = "password-of-every-device"
    digest = hashlib.sha256(bytes.fromhex(SALT) + password.encode()).hexdigest()
    for first, last in batches(count):
        sql(f"""insert into credentials (registry_id, username, password_name, kind, hash, scope_map_id,
            permissions) select '{registry}', '{prefix}-' || lpad(i::text, 8, '0'), 'token/password1',
            'token', '$sha256${SALT}${digest}', '{scope_map}', '[]'
            from generate_series({first}, {last}) i""")
    sql(f"""insert into account_changes values ('{registry}', 99, 1)
        on conflict (registry_id, slot) do update set count = account_changes.count + 1""")
    sql("analyze credentials")
    return password


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def steady(plane, names, password, rate, seconds):
    """Milliseconds from the moment a request was due to its answer: a slow one delays none after it."""
    took, lock = [], threading.Lock()
    threads = 8
    start = time.perf_counter() + 0.2

    def run(n):
        import base64
        wire = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=30)
        mine = []
        for k in range(n, int(rate * seconds), threads):
            due = start + k / rate
            pause = due - time.perf_counter()
            if pause > 0:
                time.sleep(pause)
            pair = base64.b64encode(f"{names(k)}:{password}".encode()).decode()
            wire.request("GET", f"/oauth2/token?service={plane.login_server}&scope={SCOPE}",
                         headers={"Authorization": f"Basic {pair}"})
            reply = wire.getresponse()
            body = reply.read()
            assert reply.status == 200, body
            mine.append((time.perf_counter() - due) * 1e3)
        with lock:
            took.extend(mine)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, range(threads)))
    return {"rate_asked": rate, "p50_ms": round(statistics.median(took), 2),
            "p99_ms": round(percentile(took, 0.99), 2)}


def flood(plane, body, seconds):
    done = subprocess.run(
        ["wrk", "-t1", "-c32", f"-d{seconds}s", "--latency", "-s", LUA,
         f"http://127.0.0.1:{plane.port}/oauth2/token"], text=True, capture_output=True, check=True,
        env={**os.environ, "PORTOLAN_BODY": body})
    got = json.loads(done.stdout.strip().splitlines()[-1])
    assert got["errors"] == 0, got
    return {"per_s": round(got["requests"] / got["seconds"]), "p99_ms": got["p99_us"] / 1e3}


def data_plane(options):
    plane = DataPlane()
    try:
        map_id = str(uuid.uuid4())
        plane.pg.sql(f"""insert into scope_maps (registry_id, id, resource_generation, permissions) values
            ('{plane.id}', '{map_id}', 1, '[{{"type":"repository","name":"team/*","actions":["pull"]}}]')""")
        began = time.perf_counter()
        password = fill(plane.pg.sql, plane.id, options.tokens, map_id)
        filled = time.perf_counter() - began
        plane.start()

        def names(k):
            return f"device-{(k * 7919) % options.tokens + 1:08d}"
        result = {"tokens": options.tokens, "fill_s": round(filled, 1),
                  "password": steady(plane, names, password, options.rate, options.seconds)}
        reply = plane.call("POST", "/oauth2/exchange", auth=None, data={
            "grant_type": "access_token", "service": plane.login_server,
            "access_token": plane.directory_token(aud="https://arm.test/")})
        assert reply.status_code == 200, reply.text
        result["refresh"] = flood(plane, urlencode({
            "grant_type": "refresh_token", "service": plane.login_server, "scope": SCOPE,
            "refresh_token": reply.json()["refresh_token"]}), options.seconds)
        with open(f"/proc/{plane.process.pid}/status") as text:
            result["rss_mib"] = round(next(int(x.split()[1]) for x in text if x.startswith("VmRSS")) / 1024)
        return result
    finally:
        plane.close()


def make_tokens(instance, registry, map_id, seconds):
    """Tokens a second by PUT on the management API, eight clients."""
    until, made, failed = time.perf_counter() + seconds, [], []
    host, port = instance.management.split("://")[1].split(":") if ":" in \
        instance.management.split("://")[1] else (instance.management.split("://")[1], "443")

    def run(n):
        import ssl
        wire = http.client.HTTPSConnection(host, int(port), timeout=60,
                                           context=ssl.create_default_context(cafile=instance.ca))
        head = {"Authorization": f"Bearer {instance.token()}", "Content-Type": "application/json"}
        body, k = json.dumps({"properties": {"scopeMapId": map_id}}), 0
        while time.perf_counter() < until:
            wire.request("PUT", f"{registry.id}/tokens/made-{n}-{k}?api-version={API}", body, head)
            reply = wire.getresponse()
            text = reply.read()
            (made if reply.status in (200, 201) else failed).append(text[:300])
            k += 1
    began = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    assert made and not failed, failed[:3]
    return round(len(made) / (time.perf_counter() - began))


def fill_control(instance, registry, count, prefix):
    """The same tokens as the control database holds them; the trigger that counts one by one is replaced
    by its sum."""
    uid = Plane(instance, registry).uid
    for first, last in batches(count):
        instance.sql("control", f"""begin; set local session_replication_role = replica;
            with made as (insert into resources (uid, key, id, type_key, name, subscription_id, group_key,
                parent_uid, body, state, observed_generation, not_before)
                select gen_random_uuid(), lower(r.id || '/tokens/' || t.name), r.id || '/tokens/' || t.name,
                    'microsoft.containerregistry/registries/tokens', t.name, r.subscription_id, r.group_key,
                    r.uid, '{{"properties": {{"status": "enabled"}}}}', 'Succeeded', 1,
                    now() + interval '1 day'
                from resources r, (select '{prefix}-' || lpad(i::text, 8, '0') as name
                                   from generate_series({first}, {last}) i) t where r.uid = '{uid}'
                returning uid)
            insert into resource_links select made.uid, m.uid from made, resources m
            where m.parent_uid = '{uid}' and m.name = 'fleet';
            commit""")
    instance.sql("control", f"""insert into usage_counters (owner_uid, kind, slot, used)
        values ('{uid}', 'microsoft.containerregistry/registries/tokens', 0, {count})""")
    instance.sql("control", "analyze resources")


def publish(instance, registries, maps, options):
    """One scope map of a registry's million tokens, changed and back; how long until its data plane acts
    by it."""
    first = registries[0]
    first.push_image("team/a", "v1")
    token = f"{first.id}/tokens/first-one"
    instance.finish(instance.arm("PUT", token, {"properties": {"scopeMapId": maps[first]}}, api=API))
    made = instance.arm("POST", f"{first.id}/generateCredentials", {"tokenId": token}, api=API)
    user = ("first-one", made.json()["passwords"][0]["value"])
    uid = Plane(instance, first).sql(
        "select scope_map_id from credentials where registry_id = $id and username = 'first-one'")[0][0]
    for n, registry in enumerate(registries):
        each = options.tokens if n == 0 else (options.all - options.tokens) // 2
        fill_control(instance, registry, each, "device")
        fill(lambda text: instance.sql("eastus", text), Plane(instance, registry).uid, each, uid)
    bearer = bearer_of(first, user, SCOPE)
    took, seen = [], []
    for n in range(6):
        allowed = n % 2 == 1
        actions = ["repositories/team/*/content/read"] if allowed else ["repositories/x/content/read"]
        began = time.perf_counter()
        reply = instance.arm("PATCH", f"{first.id}/scopeMaps/fleet",
                             {"properties": {"actions": actions}}, api=API)
        took.append(time.perf_counter() - began)
        assert reply.status_code == 200, reply.text
        while (call(first, "GET", "/v2/team/a/manifests/v1", bearer=bearer).status_code == 200) != allowed:
            time.sleep(0.01)
        seen.append(time.perf_counter() - began)
    return {"tokens": options.tokens, "installation": options.all, "publish_s": round(max(took), 3),
            "held_s": round(max(seen), 3)}


def installation(options):
    instance = Instance()
    try:
        instance.up()
        group = instance.make_group()
        registries = [instance.make_registry(group, sku="Premium") for _ in range(3)]
        maps, result = {}, {}
        for registry in registries:
            reply = instance.arm("PUT", f"{registry.id}/scopeMaps/fleet", {
                "properties": {"actions": ["repositories/team/*/content/read"]}}, api=API)
            assert reply.status_code < 300, reply.text
            maps[registry] = reply.json()["id"]
        if "create" in options.parts:
            result["create_per_s"] = make_tokens(instance, registries[1], maps[registries[1]],
                                                 options.seconds)
        if "publish" in options.parts:
            result |= publish(instance, registries, maps, options)
        instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)
        return result
    finally:
        instance.down()


def micro():
    """Processor time of one bearer check, by the C program beside this one."""
    build = os.environ.get("PORTOLAN_BUILD_DIR") or os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "release")
    done = subprocess.run([os.path.join(build, "tests", "bench_bearer")], text=True,
                          capture_output=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    options = argparse.ArgumentParser(prog="./dev bench tokens")
    options.add_argument("--tokens", type=int, default=1_000_000, help="of one registry")
    options.add_argument("--all", type=int, default=3_000_000, help="of the installation")
    options.add_argument("--rate", type=int, default=500, help="sign-ins a second")
    options.add_argument("--seconds", type=int, default=20)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    options = options.parse_args()
    if options.quick:
        options.tokens, options.all, options.rate, options.seconds = 2000, 6000, 50, 1
    result = {"machine": platform.machine(), "processors": os.cpu_count()}
    for name, part, of in (("bearer", micro, ("bearer",)),
                           ("data_plane", lambda: data_plane(options), ("data_plane",)),
                           ("installation", lambda: installation(options), ("create", "publish"))):
        if not set(of) & set(options.parts):
            continue
        result[name] = part()
        print(f"{name}: {json.dumps(result[name])}", file=sys.stderr, flush=True)
    for what, path, unit, aim in (
            ("bearer token seen before", "bearer.seen_us", " µs", "≤ 2 µs"),
            ("bearer token for the first time", "bearer.new_us", " µs", "≤ 120 µs"),
            (f"access token by password, p99 at {options.rate}/s, {options.tokens} tokens",
             "data_plane.password.p99_ms", " ms", "≤ 10 ms"),
            ("access tokens from a refresh token", "data_plane.refresh.per_s", "/s", "≥ 8000/s"),
            ("tokens made through the management API", "installation.create_per_s", "/s", "≥ 500/s"),
            (f"a scope map of {options.tokens} tokens published", "installation.publish_s", " s",
             "≤ 1 s"),
            ("… and seen by a running data plane", "installation.held_s", " s", ""),
            ("memory of the data plane", "data_plane.rss_mib", " MiB", "")):
        figure = result
        for key in path.split("."):
            figure = figure.get(key, {})
        if figure != {}:
            print(f"{what:68} {str(figure) + unit:>12}  {aim}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
