"""./dev bench provision: from PUT of a registry to its first accepted push, one after the other and
all at once; many registries alive at once; the memory of idle data planes; GETs through the edge.

Prints a table and, on the last line, the same as JSON. Asserts only that everything worked."""

import argparse
import concurrent.futures
import hashlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import threading
import time

import requests

from support.instance import API, GROUPS_API, Instance, Registry

BODY = {"location": "eastus", "sku": {"name": "Basic"}, "properties": {"adminUserEnabled": True}}
LOCAL = threading.local()


def session(instance):
    """One keep-alive session a thread."""
    if not hasattr(LOCAL, "session"):
        LOCAL.session = requests.Session()
        LOCAL.session.verify = instance.ca
        LOCAL.session.trust_env = False
    return LOCAL.session


def first_push(instance, group, name):
    """Seconds from sending the PUT to the 201 of the first pushed blob."""
    http = session(instance)
    head = {"Authorization": f"Bearer {instance.token()}"}
    path = instance.management + instance.registry_id(group, name)
    started = time.perf_counter()
    made = http.put(path, params={"api-version": API}, json=BODY, headers=head)
    assert made.status_code == 201, made.text
    poll = made.headers["Azure-AsyncOperation"]
    while True:
        status = http.get(poll, headers=head).json()["status"]
        if status == "Succeeded":
            break
        assert status not in ("Failed", "Canceled"), status
        time.sleep(0.01)
    secret = http.post(f"{path}/listCredentials", params={"api-version": API},
                       headers=head).json()["passwords"][0]["value"]
    content = b"first push of " + name.encode()
    digest = hashlib.sha256(content).hexdigest()
    host = Registry(instance, group, name).host
    pushed = http.post(f"https://{host}/v2/first/push/blobs/uploads/?digest=sha256:{digest}",
                       data=content, auth=(name, secret),
                       headers={"Content-Type": "application/octet-stream"})
    assert pushed.status_code == 201, (pushed.status_code, pushed.text)
    return time.perf_counter() - started


def back_after_kill(instance, group, name):
    """Seconds from kill -9 of a data plane to its next answer, the control plane being stopped. Each
    question comes on a connection of its own: one that was open is closed with the process, and a
    client opens another. What the process had taken when it died gets 502 from the edge, and is asked
    once more."""
    registry = Registry(instance, group, name)
    service = instance.dataplane_of(registry.id)
    instance.stop("controlplane")
    took = []
    for _ in range(5):
        time.sleep(1.5)  # the supervisor paces restarts of a service younger than a second
        answers(instance, group, name)
        instance.kill(service)
        del LOCAL.session
        started = time.perf_counter()
        while status_of(instance, group, name) != 401:
            assert time.perf_counter() - started < 60
        took.append(time.perf_counter() - started)
    instance.start("controlplane")
    return max(took)


def gets_per_second(instance, group, name, seconds):
    done = subprocess.run(
        ["wrk", "-t1", "-c32", f"-d{seconds}s", "-H",
         f"Authorization: Bearer {instance.token(fresh=True)}",
         f"{instance.management}{instance.registry_id(group, name)}?api-version={API}"],
        text=True, capture_output=True, check=True)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert "Non-2xx" not in done.stdout and rate, done.stdout
    return float(rate.group(1))


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def rss_anon_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))


def status_of(instance, group, name):
    host = Registry(instance, group, name).host
    return session(instance).get(f"https://{host}/v2/").status_code


def answers(instance, group, name):
    status = status_of(instance, group, name)
    assert status == 401, (name, status)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--serial", type=int, default=100)
    options.add_argument("--at-once", type=int, default=100)
    options.add_argument("--alive", type=int, default=500)
    options.add_argument("--seconds", type=int, default=8, help="of GETs through the edge")
    want = options.parse_args()
    instance = Instance()
    rows, result = [], {}

    def row(what, value, goal):
        rows.append((what, value, goal))
        print(f"{what:<58} {value:>14}   goal {goal}", flush=True)

    try:
        instance.up()
        group = instance.make_group("bench")
        first_push(instance, group, "benchwarm0")
        result["get_per_s"] = gets_per_second(instance, group, "benchwarm0", want.seconds)
        row("registry GET through the edge with TLS (wrk, 32 connections)",
            f"{result['get_per_s']:.0f}/s", ">= 5000/s")
        took = [first_push(instance, group, f"benchserial{i}") for i in range(want.serial)]
        result["serial_p50_ms"] = round(1000 * statistics.median(took), 1)
        result["serial_p95_ms"] = round(1000 * quantile(took, 0.95), 1)
        row(f"PUT to first push, {want.serial} one after the other, p50",
            f"{result['serial_p50_ms']} ms", "<= 200 ms")
        row("  p95", f"{result['serial_p95_ms']} ms", "<= 600 ms")

        begun = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(want.at_once) as pool:
            list(pool.map(lambda i: first_push(instance, group, f"benchburst{i}"),
                          range(want.at_once)))
        result["burst_s"] = round(time.perf_counter() - begun, 2)
        row(f"{want.at_once} created at once, all with a push accepted", f"{result['burst_s']} s",
            "<= 15 s")

        have = 1 + want.serial + want.at_once
        names = ["benchwarm0"] + [f"benchserial{i}" for i in range(want.serial)] + \
            [f"benchburst{i}" for i in range(want.at_once)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            more = [f"benchalive{i}" for i in range(max(0, want.alive - have))]
            list(pool.map(lambda n: first_push(instance, group, n), more))
            names += more
            list(pool.map(lambda n: answers(instance, group, n), names))
        result["alive"] = len(names)
        row("registries alive at once, each answering", len(names), f">= {want.alive}")

        time.sleep(12)  # idle: connections closed, worker threads ended, memory given back
        pids = [instance.pid(n) for n in instance.dataplanes()]
        memory = [rss_anon_kib(p) for p in pids]
        result["idle_rss_anon_kib_median"] = statistics.median(memory)
        result["idle_rss_anon_kib_max"] = max(memory)
        row("private memory (RssAnon) of an idle data plane, median",
            f"{result['idle_rss_anon_kib_median'] / 1024:.2f} MiB", "<= 3 MiB")

        result["get_per_s_all_alive"] = gets_per_second(instance, group, names[0], want.seconds)
        row(f"registry GET with {len(names)} data planes alive", f"{result['get_per_s_all_alive']:.0f}/s",
            "-")
        result["back_after_kill_s"] = round(back_after_kill(instance, group, names[0]), 3)
        row("kill -9 of a data plane to its next answer, slowest of 5",
            f"{result['back_after_kill_s']} s", "<= 1 s")

        begun = time.perf_counter()
        instance.delete(instance.group_id(group), api=GROUPS_API) if len(names) < 50 else \
            instance.finish(instance.arm("DELETE", instance.group_id(group), api=GROUPS_API),
                            timeout=600)
        result["delete_all_s"] = round(time.perf_counter() - begun, 2)
        row(f"deleting the group with its {len(names)} registries", f"{result['delete_all_s']} s",
            "-")
    finally:
        instance.down()
    result["machine"] = {"cores": os.cpu_count(), "kernel": platform.release()}
    result["commit"] = subprocess.run(
        ["git", "-C", os.path.dirname(__file__), "rev-parse", "--short", "HEAD"], text=True,
        capture_output=True).stdout.strip()
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
