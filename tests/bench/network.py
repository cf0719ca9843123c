"""./dev bench network: what a verdict costs by the number of rules; what rules cost a pull; how soon a
change of the rules of many running registries, made at once, holds at each of them.

Prints a table and, on the last line, the same as JSON. Asserts only that everything worked."""

import argparse
import concurrent.futures
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time

import requests

from support.instance import Instance, eventually

BUILD = os.environ.get("PORTOLAN_BUILD_DIR", os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "release"))
LOCAL = threading.local()


def session(instance):
    """One keep-alive session a thread."""
    if not hasattr(LOCAL, "session"):
        LOCAL.session = requests.Session()
        LOCAL.session.verify, LOCAL.session.trust_env = instance.ca, False
    return LOCAL.session


def rules(action, count):
    return {"networkRuleSet": {"defaultAction": action, "ipRules": [
        {"action": "Allow", "value": f"198.51.{i // 200}.{i % 200}"} for i in range(count)]}}


def patch(registry, properties):
    it = registry.instance
    reply = session(it).patch(it.management + registry.id, params={"api-version": "2025-11-01"},
                              json={"properties": properties},
                              headers={"Authorization": f"Bearer {it.token()}"}, timeout=120)
    assert reply.status_code in (200, 201), reply.text


def pulls_per_second(registry, path, token, seconds):
    """By IPv4, which rules are about."""
    done = subprocess.run(["wrk", "-t1", "-c16", f"-d{seconds}s", "-H", f"Host: {registry.host}", "-H",
                           f"Authorization: Bearer {token}",
                           f"https://127.0.0.1:{registry.instance.port}{path}"], text=True,
                          capture_output=True, check=True)
    assert "Non-2xx" not in done.stdout, done.stdout
    return float(re.search(r"Requests/sec:\s+([0-9.]+)", done.stdout).group(1))


def cost_of_rules(registry, rounds, seconds):
    """How many pulls of a small blob more, in percent, without rules than with 200; by turns, so that
    the machine's moods hit both."""
    reply, digest = registry.push_blob("a/b", os.urandom(4096))
    assert reply.status_code == 201, reply.text
    token = registry.access_token("repository:a/b:pull")
    path, figures = f"/v2/a/b/blobs/{digest}", {0: [], 1: []}
    # The last rules let this machine in.
    mine = [{"action": "Allow", "value": "127.0.0.0/8"}]
    some = rules("Deny", 199)
    some["networkRuleSet"]["ipRules"] += mine
    for _ in range(rounds):
        for with_rules, settings in ((0, rules("Allow", 0)), (1, some)):
            patch(registry, settings)
            time.sleep(1)
            figures[with_rules].append(pulls_per_second(registry, path, token, seconds))
    without, with_them = (statistics.median(figures[n]) for n in (0, 1))
    return without, with_them, 100 * (without - with_them) / without


def time_to_effect(registry, start, every=0.2):
    """Changes the rules when all are ready; seconds from the answer to the first refusal, on a
    connection that was open before. What a look itself takes is part of it."""
    http = requests.Session()
    http.verify, http.trust_env = registry.instance.ca, False
    eventually(lambda: http.get(registry.url + "/v2/", timeout=60).status_code == 401, timeout=60)
    session(registry.instance)
    start.wait()
    patch(registry, rules("Deny", 1))
    answered = time.perf_counter()
    while http.get(registry.url + "/v2/", timeout=60).status_code != 403:
        assert time.perf_counter() - answered < 60
        time.sleep(every)
    return time.perf_counter() - answered


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--registries", type=int, default=200)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=3)
    want = options.parse_args()
    result = {}

    def row(what, value, goal):
        print(f"{what:<66} {value:>12}   goal {goal}", flush=True)

    verdicts = subprocess.run([os.path.join(BUILD, "tests", "bench_verdict")], text=True,
                              capture_output=True)
    for count, ns in re.findall(r"(\d+) rules\s+([0-9.]+) ns", verdicts.stdout):
        result[f"verdict_ns_{count}"] = float(ns)
        row(f"a verdict with {count} rules", f"{ns} ns", "<= 150 ns" if int(count) <= 200
            else "<= 400 ns")
    instance = Instance()
    try:
        instance.up()
        group = instance.make_group()
        one = instance.make_registry(group, sku="Premium")
        if want.rounds:
            without, with_them, percent = cost_of_rules(one, want.rounds, want.seconds)
            result.update(pulls_per_s=without, pulls_per_s_with_rules=with_them,
                          rules_cost_percent=round(percent, 2))
            row("pulls of 4 KiB through the edge, no rules", f"{without:.0f}/s", "-")
            row("  with 200 rules", f"{with_them:.0f}/s", "-")
            row("  rules cost", f"{percent:.2f} %", "< 2 %")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            many = list(pool.map(lambda _: instance.make_registry(group, sku="Premium"),
                                 range(want.registries)))
        instance.token(fresh=True)
        start = threading.Barrier(want.registries)
        with concurrent.futures.ThreadPoolExecutor(want.registries) as pool:
            took = sorted(pool.map(lambda r: time_to_effect(r, start), many))
        result["effect_s_median"] = round(statistics.median(took), 3)
        result["effect_s_max"] = round(took[-1], 3)
        row(f"rules of {want.registries} registries changed at once: answer to effect, median",
            f"{result['effect_s_median']} s", "-")
        row("  slowest", f"{result['effect_s_max']} s", "<= 1 s")
    finally:
        instance.down()
    print(json.dumps(result))
    return verdicts.returncode


if __name__ == "__main__":
    sys.exit(main())
