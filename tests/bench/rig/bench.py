"""What the benchmarks share: their options, the servers they start, alternating rounds, rows and
ratios, and the JSON of it all on the last line."""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile

from rig import peers, profile
from rig.load import Image
from rig.servers import DataPlane, DockerRegistry, Nginx, Postgres, Server

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Bench:
    """A benchmark is a class with SCENES, each with a method scene_<name>."""

    SCENES = ()

    def __init__(self, want):
        self.want = want
        self.base = tempfile.mkdtemp(prefix="pt-bench-", dir=want.dir)
        os.chmod(self.base, 0o755)
        self.result = {"skipped": {}}

    # --- servers ---------------------------------------------------------------------------------

    def start_data_planes(self):
        self.postgres = Postgres(self.base)
        self.sealed = DataPlane(self.base, self.postgres, "portolan", options=self.want.set)
        self.plain = DataPlane(self.base, self.postgres, "unencrypted", is_sealing=False,
                               options=self.want.set)

    def start_peers(self, with_nginx):
        """Registries that run without authentication, encryption, access log and fsync; nginx is
        the limit of what plain files can do."""
        self.registry = DockerRegistry(self.base)
        self.others = peers.start(self.base, self.result["skipped"], self.want.quick)
        self.nginx = Nginx(self.base) if with_nginx else None
        for name, why in self.result["skipped"].items():
            self.row(f"not compared: {name}", "", why)

    @property
    def registries(self):
        return [self.sealed, self.registry, *self.others]

    @property
    def servers(self):
        return [*self.registries, self.nginx]

    def load_all(self, image):
        """A peer that does not take the image is left out, and said so."""
        for server in (self.sealed, self.plain, self.registry, self.nginx):
            if server:
                image.put_into(server)
        for server in list(self.others):
            try:
                image.put_into(server)
            except (AssertionError, OSError) as e:
                self.others.remove(server)
                self.result["skipped"][server.name] = f"does not take the image: {e}"[:200]
                self.row(f"not compared: {server.name}", "", self.result["skipped"][server.name])

    # --- rounds and rows -------------------------------------------------------------------------

    def rounds(self, scene, servers, act):
        """The median of each server's rounds, by name. Another one goes first each round. act gives
        a figure and how many units of work were done, of which the processor time is noted: unlike
        the figure it hardly depends on what else the machine does."""
        took, cost = {s.name: [] for s in servers}, {s.name: [] for s in servers}
        for i in range(self.want.rounds):
            at = i % len(servers)
            for server in servers[at:] + servers[:at]:
                with profile.of(server, scene, self.want.profile if i == 0 else None):
                    before = server.cpu_s()
                    figure, units = act(server)
                    took[server.name].append(figure)
                    cost[server.name].append(1e6 * (server.cpu_s() - before) / max(units, 1e-9))
        got = {n: round(statistics.median(v), 4) for n, v in took.items()}
        got["rounds"] = {n: [round(x, 4) for x in v] for n, v in took.items()}
        got["cpu_us"] = {n: round(statistics.median(v), 1) for n, v in cost.items()}
        self.result[scene] = got
        return got

    @staticmethod
    def row(what, value, goal="", is_met=None):
        mark = "" if is_met is None else "met" if is_met else "MISSED"
        print(f"{what:<66} {value:>16}   {goal:<28} {mark}".rstrip(), flush=True)

    def table(self, scene, what, unit, *goals):
        """One row per server, then the ratios: those with a goal (ours, peer, least), and ours to
        every other peer."""
        got = self.result[scene]
        each = unit.removesuffix("/s") or "one"
        for name, cpu_us in got["cpu_us"].items():
            self.row(f"{what}: {name}", f"{got[name]:,.{0 if got[name] > 99 else 2}f} {unit}",
                     f"{cpu_us:,.0f} us CPU per {each}")
        least = {(ours, peer): at_least for ours, peer, at_least in goals}
        least.update({("portolan", p): None for p in got["cpu_us"]
                      if p not in ("portolan", "unencrypted", "hot-bytes=0") and
                      ("portolan", p) not in least})
        got["ratios"] = {}
        for (ours, peer), at_least in least.items():
            ratio = got[ours] / got[peer] if got[peer] else 0.0
            got["ratios"][f"{ours} / {peer}"] = round(ratio, 3)
            self.row(f"  {ours} / {peer}", f"{ratio:.2f}", f">= {at_least}" if at_least else "",
                     ratio >= at_least if at_least else None)

    # --- the whole -------------------------------------------------------------------------------

    def start_all(self):
        raise NotImplementedError

    def stop_all(self):
        for server in reversed(Server.running):
            server.stop()
        shutil.rmtree(self.base, ignore_errors=True)

    @classmethod
    def options(cls, text):
        options = argparse.ArgumentParser(description=text,
                                          formatter_class=argparse.RawDescriptionHelpFormatter)
        options.add_argument("scenes", nargs="*", metavar="SCENE",
                             help=f"of {', '.join(cls.SCENES)}")
        options.add_argument("--rounds", type=int, default=3)
        options.add_argument("--seconds", type=int, default=3, help="of load a round and server")
        options.add_argument("--quick", action="store_true", help="small content, one short round, "
                             "no peer that would have to be built: shows that it works")
        options.add_argument("--dir", default="/var/tmp", help="where the servers keep their "
                             "files; a file system with a real fsync")
        options.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE",
                             help="of the data planes, as in their configuration file")
        options.add_argument("--profile", metavar="DIR",
                             help="writes what perf sees of every server")
        return options

    @classmethod
    def main(cls, text, more=lambda options: None):
        options = cls.options(text)
        more(options)
        want = options.parse_args()
        for scene in want.scenes:
            if scene not in cls.SCENES:
                options.error(f"no scene {scene}; there are: {', '.join(cls.SCENES)}")
        if want.quick:
            want.rounds, want.seconds = 1, 1
        bench = cls(want)
        try:
            bench.start_all()
            for scene in want.scenes or cls.SCENES:
                getattr(bench, f"scene_{scene}")()
        finally:
            bench.stop_all()
        bench.result["machine"] = {"cores": os.cpu_count(), "kernel": platform.release()}
        bench.result["commit"] = subprocess.run(
            ["git", "-C", HERE, "rev-parse", "--short", "HEAD"], text=True, capture_output=True,
            check=False).stdout.strip()
        print(json.dumps(bench.result))
        return 0


def image_of(sizes):
    return Image("bench/app", "v1", sizes)
