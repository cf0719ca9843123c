"""./dev bench templates: the engine alone (bench_templates.c), then deployments on a whole instance:
the gallery's single-registry template from PUT to Succeeded with the registry answering, and a fleet
of 200 scope maps and tokens.

Prints what was measured, with commits and statements for each resource of the fleet; asserts only
that everything worked."""

import json
import os
import statistics
import subprocess
import time
import uuid

import requests

from support.instance import Instance

V = "2021-04-01"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("PORTOLAN_BUILD_DIR") or os.path.join(ROOT, "build", "release")
ROUNDS = 5


def gallery(name):
    with open(os.path.join(ROOT, "templates", "gallery", name)) as file:
        return json.load(file)


def deploy(instance, group, name, body, values):
    """Seconds from the PUT to Succeeded, and the deployment."""
    path = f"{instance.group_id(group)}/providers/Microsoft.Resources/deployments/{name}"
    request = {"properties": {"mode": "Incremental", "template": body, "parameters":
                              {k: {"value": v} for k, v in values.items()}}}
    started = time.perf_counter()
    instance.finish(instance.arm("PUT", path, request, api=V), timeout=300)
    took = time.perf_counter() - started
    return took, instance.arm("GET", path, api=V).json()["properties"]


def single(instance):
    took = []
    for _ in range(ROUNDS):
        group = instance.make_group()
        started = time.perf_counter()
        _, done = deploy(instance, group, "one", gallery("registry.json"), {})
        url = f"https://{done['outputs']['acrLoginServer']['value']}/v2/"
        with requests.Session() as http:
            http.verify, http.trust_env = instance.ca, False
            while http.get(url).status_code not in (401, 403):
                time.sleep(0.005)
        took.append(time.perf_counter() - started)
    print(f"single registry, PUT to Succeeded and answering: best {min(took):.2f} s, median "
          f"{statistics.median(took):.2f} s (goal 1.5)")


def commits(instance):
    return int(instance.sql("control", "select xact_commit from pg_stat_database "
                                       "where datname = current_database()")[0][0])


def processor(instance):
    """Seconds of processor that the instance's processes have had: other work on the machine moves
    this far less than it moves the rate."""
    ticks = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            place = os.readlink(f"/proc/{pid}/cwd") + " "
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as text:
                place += text.read()
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as text:
                times = text.read().rsplit(")", 1)[1].split()[11:15]
        except OSError:
            continue  # gone, or not ours to see
        if instance.state in place:
            ticks += sum(map(int, times))
    return ticks / os.sysconf("SC_CLK_TCK")


def fleet(instance):
    rates, counts, costs = [], [], []
    body = gallery("fleet-tokens.json")
    for _ in range(ROUNDS):
        group = instance.make_group()
        values = {"acrName": "b" + uuid.uuid4().hex[:12], "devices": []}
        deploy(instance, group, "registry", body, values)
        values["devices"] = [f"device-{i:03}" for i in range(100)]
        before, spent = commits(instance), processor(instance)
        took, done = deploy(instance, group, "fleet", body, values)
        made = len(done["outputResources"])
        costs.append((processor(instance) - spent) / made * 1000)
        time.sleep(1.2)  # the statistics of the database's workers come in every second
        counts.append((commits(instance) - before) / made)
        rates.append(made / took)
    print(f"{made} scope maps and tokens: best {max(rates):.0f}/s, median "
          f"{statistics.median(rates):.0f}/s (goal 100), {min(counts):.1f} commits and "
          f"{statistics.median(costs):.1f} ms of processor each")


def main():
    subprocess.run([os.path.join(BUILD, "tests", "bench_templates")], check=True)
    instance = Instance().up()
    try:
        single(instance)
        fleet(instance)
    finally:
        instance.down()


if __name__ == "__main__":
    main()
