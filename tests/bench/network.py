"""./dev bench network: what a verdict costs by the number of rules; what rules cost the figures of
./dev bench pull; how soon a change of the rules of many running registries, made at once, holds at
each of them.

  verdict   processor time of one verdict
  instructions  what of small pulls rules cost in instructions of the data plane, as valgrind's callgrind
            counts them: unlike time, other work does not move them. Left out where valgrind is not there
  pull      one data plane, with 200 rules and without by turns: every figure is taken twice in a row,
            and the median of what the pairs differ by is the answer
  change    a whole instance. One thread asks every registry five times a second, each on a connection of its
            own, and then sends the changes of all at once, each on a connection that is open as well. Of each
            registry the time from the answer of its change to the first refusal; looked for every 0.1 s,
            which is part of it. Beside it, what the client and the programs took of the processors meanwhile

Prints a table and, on the last line, the same as JSON. Only the verdict has a bound that fails the
run: it hardly depends on what else the machine does."""

import concurrent.futures
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

from rig import load
from rig.bench import Bench, image_of
from rig.lines import Lines, processor_time
from rig.load import MIB
from rig.servers import BUILD, DataPlane, Edge, Postgres
from support.instance import API, Instance, eventually

LOOPBACK = [{"action": "Allow", "value": "127.0.0.0/8"}]
FRESH_S = 0.8  # a data plane that has traffic looks for changes twice a second
LOOK_BEFORE_S, LOOK_AFTER_S = 0.2, 0.1  # a request comes to each registry so often; before and after the answer
CALM_LOOKS = 5  # requests to each before the change


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def rules(action, count):
    return {"networkRuleSet": {"defaultAction": action, "ipRules": [
        {"action": "Allow", "value": f"198.51.{i // 200}.{i % 200}"} for i in range(count)]}}


def some_rules():
    """Two hundred, the last of which lets this machine in."""
    some = rules("Deny", 199)
    some["networkRuleSet"]["ipRules"] += LOOPBACK
    return some


class CountedPlane(DataPlane):
    """A data plane whose instructions callgrind counts. glibc clears memory by an instruction that callgrind
    counts once a byte; here it does so by ordinary ones."""

    parts = 0

    def spawn(self, *argv, ready, **options):
        super().spawn("valgrind", "--tool=callgrind", "--instr-atstart=no",
                      f"--callgrind-out-file={self.path('counts')}", *argv, ready=ready, **options, env={
                          **os.environ,
                          "GLIBC_TUNABLES": "glibc.cpu.x86_rep_stosb_threshold=1000000000"})

    def control(self, *words):
        subprocess.run(["callgrind_control", *words, str(self.pid)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def counted(self, act):
        """Instructions a request; act returns how many requests it made."""
        self.control("-z")
        self.control("-i", "on")
        requests_made = act()
        self.control("-i", "off")
        self.control("-d")
        self.parts += 1
        dump = self.path(f"counts.{self.parts}")
        eventually(lambda: os.path.exists(dump) and "totals:" in read(dump))
        return int(re.search(r"^totals: (\d+)", read(dump), re.M).group(1)) / requests_made


class Changed:
    """One registry whose rules are changed while requests come to it on one connection."""

    def __init__(self, lines, registry, token):
        instance = registry.instance
        self.lines, self.name = lines, registry.name
        self.manage = lines.open(instance.management.split("://")[1], int(instance.port))
        self.change = self.manage.request(
            "PATCH", f"{registry.id}?api-version={API}", f"Authorization: Bearer {token}",
            body=json.dumps({"properties": rules("Deny", 1)}).encode())
        self.line = lines.open(registry.host, int(instance.port))
        self.look = self.line.request("GET", "/v2/")
        self.seen, self.begun, self.answered, self.refused = 0, None, None, None

    def ask(self):
        self.line.ask(self.look, self.hear)

    def hear(self, status, reply):
        now = time.perf_counter()
        assert status == (403 if status == 403 and self.begun else 401), reply
        self.seen += 1
        if status == 403:
            self.refused = now
        else:
            self.lines.later(now + (LOOK_AFTER_S if self.answered else LOOK_BEFORE_S), self.ask)

    def send(self):
        self.begun = time.perf_counter()
        self.manage.ask(self.change, self.answer)

    def answer(self, status, reply):
        assert status == 200, reply
        self.answered = time.perf_counter()


class Network(Bench):
    SCENES = ("verdict", "instructions", "pull", "change")
    status = 0

    postgres = None

    def start_all(self):
        """Each scene starts what it needs."""

    def start_database(self):
        self.postgres = self.postgres or Postgres(self.base)

    def scene_verdict(self):
        done = subprocess.run([os.path.join(BUILD, "tests", "bench_verdict")], text=True,
                              capture_output=True)
        self.result["verdict"] = {}
        for count, ns, bound in re.findall(r"(\d+) rules\s+([0-9.]+) ns .* bound (\d+) ns",
                                           done.stdout):
            self.result["verdict"][count] = float(ns)
            self.row(f"a verdict with {int(count):,} rules", f"{ns} ns", f"<= {bound} ns",
                     float(ns) <= float(bound))
        assert self.result["verdict"], done.stdout + done.stderr
        Network.status = done.returncode

    # --- what rules cost in instructions ---------------------------------------------------------

    def scene_instructions(self):
        if not shutil.which("callgrind_control"):
            self.result["skipped"]["instructions"] = "there is no valgrind"
            self.row("not measured: instructions", "", "there is no valgrind")
            return
        self.start_database()
        plane = CountedPlane(self.base, self.postgres, "counted", options=self.want.set)
        self.image = image_of((2048, 1024 * 1024))
        self.image.put_into(plane)
        times = 40 if self.want.quick else 400
        asked = {"GET manifest": ("GET", self.image.manifest_path),
                 "HEAD manifest": ("HEAD", self.image.manifest_path),
                 "HEAD blob": ("HEAD", self.image.blob_paths[0]),
                 "GET 2 KiB blob": ("GET", self.image.blob_paths[0]),
                 "GET 1 MiB blob": ("GET", self.image.blob_paths[1])}
        # The least of several counts: the data plane's own work comes now and then as well.
        found = {name: [float("inf"), float("inf")] for name in asked}
        for at in (0, 1) * (1 if self.want.quick else 2):
            self.publish(plane, some_rules() if at else {})
            for name, (method, path) in asked.items():
                def pull(times, method=method, path=path):
                    return load.load(plane, 1, "times", times, method,
                                     plane.header(self.image.scope), path)["requests"]
                pull(4)
                counted = plane.counted(lambda pull=pull: pull(times))
                found[name][at] = min(found[name][at], counted)
        self.result["instructions"] = {}
        for name, (without, with_them) in found.items():
            more = 100 * (with_them - without) / without
            self.result["instructions"][name] = {"without": round(without), "with_rules": round(with_them),
                                                 "percent": round(more, 2)}
            self.row(f"{name}: 200 rules cost more instructions, of {without:,.0f}", f"{more:.2f} %",
                     "< 2 %", more < 2)
        plane.stop()

    # --- what rules cost a pull ------------------------------------------------------------------

    def publish(self, plane, settings):
        everything = json.dumps({"adminUserEnabled": True, "sku": "Premium", **settings})
        self.postgres.sql("bench", f"update registries set settings = '{everything}', "
                          f"generation = generation + 1 where id = '{plane.registry_id}'")
        load.Client(plane, self.image.scope).call("GET", "/v2/")
        time.sleep(FRESH_S)
        load.Client(plane, self.image.scope).call("GET", "/v2/")

    def figures(self, plane, edge):
        """Those of ./dev bench pull: name → act that gives units a second, and the units."""
        manifest, (small, middle, large) = self.image.manifest_path, self.image.blob_paths
        direct = f"http://127.0.0.1:{plane.port}"
        behind = f"https://127.0.0.1:{edge.ports[plane.name]}"

        def get(base, path, connections, unit="requests"):
            def act():
                got = load.wrk(base + path, plane.header(self.image.scope), connections,
                               self.want.seconds)
                return got[unit] / got["seconds"], got[unit]
            return act

        def head(path):
            def act():
                got = load.load(plane, 32, "seconds", self.want.seconds, "HEAD",
                                plane.header(self.image.scope), path)
                return got["requests"] / got["seconds"], got["requests"]
            return act
        return {"get manifest": get(direct, manifest, 32), "head manifest": head(manifest),
                "head blob": head(middle), "get 2 KiB blob": get(direct, small, 32),
                "get 1 MiB blob": get(direct, middle, 8, "bytes"),
                "get large blob": get(direct, large, 8, "bytes"),
                "edge get manifest": get(behind, manifest, 32),
                "edge get 1 MiB blob": get(behind, middle, 8, "bytes")}

    @staticmethod
    def measure(plane, figure):
        """(units a second, the data plane's processor time a unit): the second hardly depends on what
        else the machine does."""
        before = plane.cpu_s()
        rate, units = figure()
        assert units > 0
        return rate, (plane.cpu_s() - before) / units

    def pairs(self, plane, figures):
        """name → [(without, with)] of measurements. The rules change between the two of a pair and stay for the first
        of the next, so each comes first as often as second."""
        states = ({}, some_rules())
        found, at = {name: [] for name in figures}, 0
        self.publish(plane, states[at])
        for _ in range(self.want.rounds):
            for name, figure in figures.items():
                pair = [0, 0]
                pair[at] = self.measure(plane, figure)
                at = 1 - at
                self.publish(plane, states[at])
                pair[at] = self.measure(plane, figure)
                found[name].append(pair)
            if len(figures) % 2 == 0:  # else a figure would begin with the same in each round
                at = 1 - at
                self.publish(plane, states[at])
        return found

    def scene_pull(self):
        self.start_database()
        plane = DataPlane(self.base, self.postgres, "portolan", options=self.want.set)
        self.image = image_of((2048, MIB, (8 if self.want.quick else 64) * MIB))
        self.image.put_into(plane)
        found = self.pairs(plane, self.figures(plane, Edge(self.base, [plane])))
        self.result["pull"] = {}
        for name, pairs in found.items():
            slower = [100 * (a[0] - b[0]) / a[0] for a, b in pairs]
            dearer = [100 * (b[1] - a[1]) / a[1] for a, b in pairs]
            without, with_them = (statistics.median(p[n][0] for p in pairs) for n in (0, 1))
            self.result["pull"][name] = got = {
                "without_per_s": round(without, 1), "with_rules_per_s": round(with_them, 1),
                "cost_percent": round(statistics.median(slower), 2),
                "cpu_percent": round(statistics.median(dearer), 2),
                "rounds": [round(c, 2) for c in slower],
                "cpu_rounds": [round(c, 2) for c in dearer]}
            self.row(f"{name}: 200 rules make it slower by", f"{got['cost_percent']} %", "< 2 %",
                     got["cost_percent"] < 2)
            self.row("  and cost the data plane more processor time by", f"{got['cpu_percent']} %")

    # --- many changes at once --------------------------------------------------------------------

    def scene_change(self):
        count = self.want.registries
        instance = Instance()
        try:
            instance.up()
            group = instance.make_group()
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                registries = list(pool.map(lambda _: instance.make_registry(group, sku="Premium"),
                                           range(count)))
            self.change(instance, registries)
        finally:
            instance.down()

    def change(self, instance, registries):
        lines = Lines(instance.ca)
        token = instance.token(fresh=True)
        many = [Changed(lines, r, token) for r in registries]
        start = time.perf_counter()
        for i, one in enumerate(many):
            lines.later(start + LOOK_BEFORE_S * i / len(many), one.ask)
        lines.run(lambda: all(one.seen >= CALM_LOOKS for one in many), 60)
        before, own = processor_time(instance), time.process_time()
        begun = time.perf_counter()
        for one in many:
            one.send()
        lines.run(lambda: all(one.refused and one.answered for one in many), 60)
        spent = {"client": time.process_time() - own}
        after = processor_time(instance)
        lines.close()
        for name, seconds in after.items():
            if seconds - before.get(name, 0) >= 0.02:
                spent[name] = seconds - before.get(name, 0)
        self.tell_change(many, begun, spent)

    def tell_change(self, many, begun, spent):
        held = sorted(max(0, one.refused - one.answered) for one in many)
        answered = sorted(one.answered - begun for one in many)
        over = max(one.refused for one in many) - begun
        middle = len(many) // 2
        self.result["change"] = {
            "registries": len(many), "median_s": round(held[middle], 3), "max_s": round(held[-1], 3),
            "answer_median_s": round(answered[middle], 3), "answer_max_s": round(answered[-1], 3),
            "all_s": round(over, 3), "processor_s": {k: round(v, 2) for k, v in spent.items()}}
        self.row(f"rules of {len(many)} registries changed at once: answer to effect, median",
                 f"{held[middle]:.3f} s")
        self.row("  slowest", f"{held[-1]:.3f} s", "<= 1 s", held[-1] <= 1)
        self.row("  the answers themselves, median", f"{answered[middle]:.3f} s",
                 f"slowest {answered[-1]:.3f} s")
        self.row("  from sending the first to effect everywhere", f"{over:.3f} s")
        for name, seconds in sorted(spent.items(), key=lambda x: -x[1]):
            self.row(f"  processor time meanwhile: {name}", f"{seconds:.2f} s")


def more(options):
    options.add_argument("--registries", type=int, default=200, help="of the scene change")
    options.set_defaults(rounds=12, seconds=1)


if __name__ == "__main__":
    sys.exit(Network.main(__doc__, more) or Network.status)
