"""./dev bench pull: pulls, pushes and listings of a data plane beside Debian's docker-registry and
nginx serving the same bytes as plain files, all started in this run on this machine.

Rounds alternate between the servers; every figure is the median of its rounds. Data planes check a
bearer token on every request; docker-registry and nginx run without authentication, and nobody
writes an access log. Prints a table and, on the last line, the same as JSON. Asserts only that
everything worked, never on time."""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

from pulling import load, profile, scale
from pulling.load import MIB, Client, Image, Sampler, timed
from pulling.servers import DataPlane, DockerRegistry, Edge, Nginx, Postgres, Server

SCENES = ("manifest", "blobs", "layer", "small", "storm", "edge", "hot", "pages")
STORM_CLIENTS, STORM_LAYERS = 1000, 5


class Bench:
    def __init__(self, want):
        self.want = want
        self.base = tempfile.mkdtemp(prefix="pt-bench-", dir=want.dir)
        os.chmod(self.base, 0o755)
        self.result = {}

    # --- servers ---------------------------------------------------------------------------------

    def start_all(self):
        self.postgres = Postgres(self.base)
        self.sealed = DataPlane(self.base, self.postgres, "portolan", options=self.want.set)
        self.plain = DataPlane(self.base, self.postgres, "unencrypted", is_sealing=False,
                               options=self.want.set)
        self.registry = DockerRegistry(self.base)
        self.nginx = Nginx(self.base)
        self.peers = [self.sealed, self.registry, self.nginx]
        self.image = Image("bench/app", "v1", (2048, MIB, 64 * MIB))
        for server in (*self.peers, self.plain):
            self.image.put_into(server)

    def stop_all(self):
        for server in reversed(Server.running):
            server.stop()
        shutil.rmtree(self.base, ignore_errors=True)

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
                    cost[server.name].append(1e6 * (server.cpu_s() - before) / units)
        got = {n: round(statistics.median(v), 4) for n, v in took.items()}
        got["rounds"] = {n: [round(x, 4) for x in v] for n, v in took.items()}
        got["cpu_us"] = {n: round(statistics.median(v), 1) for n, v in cost.items()}
        self.result[scene] = got
        return got

    def row(self, what, value, goal="", is_met=None):
        mark = "" if is_met is None else "met" if is_met else "MISSED"
        print(f"{what:<66} {value:>16}   {goal:<28} {mark}", flush=True)

    def table(self, scene, what, unit, *goals):
        """One row per server, then the ratios that goals set: (ours, peer, least)."""
        got = self.result[scene]
        each = unit.removesuffix("/s") or "one"
        for name, cpu_us in got["cpu_us"].items():
            self.row(f"{what}: {name}", f"{got[name]:,.{0 if got[name] > 99 else 2}f} {unit}",
                     f"{cpu_us:,.0f} us CPU per {each}")
        got["ratios"] = {}
        for ours, peer, least in goals:
            ratio = got[ours] / got[peer]
            got["ratios"][f"{ours} / {peer}"] = round(ratio, 3)
            self.row(f"  {ours} / {peer}", f"{ratio:.2f}", f">= {least}", ratio >= least)

    # --- scenes ----------------------------------------------------------------------------------

    def scene_manifest(self):
        scope, seconds = self.image.scope, self.want.seconds
        path, blob = self.image.manifest_path, self.image.blob_paths[1]

        def get(server):
            got = load.wrk(f"http://127.0.0.1:{server.port}{path}", server.header(scope), 32,
                           seconds)
            return got["requests"] / got["seconds"], got["requests"]

        def head(of):
            def act(server):
                got = load.load(server, 32, "seconds", seconds, "HEAD", server.header(scope), of)
                return got["requests"] / got["seconds"], got["requests"]
            return act

        self.rounds("get manifest", self.peers, get)
        self.table("get manifest", "GET manifest by tag, 32 connections", "/s",
                   ("portolan", "nginx", 0.7), ("portolan", "docker-registry", 40))
        self.rounds("head manifest", self.peers, head(path))
        self.table("head manifest", "HEAD manifest by tag, 32 connections", "/s",
                   ("portolan", "nginx", 0.7))
        self.rounds("head blob", self.peers, head(blob))
        self.table("head blob", "HEAD blob, 32 connections", "/s", ("portolan", "nginx", 0.7))

    def scene_blobs(self):
        for at, size in ((1, "1 MiB"), (2, "64 MiB")):
            path = self.image.blob_paths[at]

            def get(server, path=path):
                got = load.wrk(f"http://127.0.0.1:{server.port}{path}",
                               server.header(self.image.scope), 8, self.want.seconds)
                return got["bytes"] / got["seconds"] / MIB, got["bytes"] / MIB

            scene = f"get {size} blob"
            self.rounds(scene, [*self.peers, self.plain], get)
            more = (("unencrypted", "nginx", 0.95),) if size == "64 MiB" else ()
            self.table(scene, f"GET {size} blob, 8 connections", "MiB/s",
                       ("portolan", "nginx", 0.6), ("portolan", "docker-registry", 1.2), *more)

    def scene_layer(self):
        size = 256 * MIB
        content = bytearray(os.urandom(size))
        file, copy = os.path.join(self.base, "layer"), os.path.join(self.base, "copy")
        sums = []

        def push(server):
            content[:16] = os.urandom(16)
            with open(file, "wb") as f:
                f.write(content)
            os.sync()
            if server is self.sealed:
                # The same bytes, hashed and written by the simplest programs.
                sums.append(
                    timed(lambda: subprocess.run(["openssl", "dgst", "-sha256", file], check=True,
                                                 stdout=subprocess.DEVNULL)) +
                    timed(lambda: subprocess.run(["dd", f"if={file}", f"of={copy}", "bs=1M",
                                                  "conv=fsync", "status=none"], check=True)))
                os.unlink(copy)
                os.sync()
            digest = load.digest_of(content)
            client = Client(server, "repository:bench/layers:pull,push")
            return timed(lambda: client.put_blob("bench/layers", content, digest)), 1

        got = self.rounds("push layer", [self.sealed, self.registry, self.plain], push)
        got["sha256 + dd"] = round(statistics.median(sums), 4)
        for name in ("portolan", "unencrypted", "docker-registry", "sha256 + dd"):
            self.row(f"push of one 256 MiB layer: {name}", f"{got[name]:.2f} s")
        faster = got["docker-registry"] / got["portolan"]
        beyond = got["portolan"] / got["sha256 + dd"]
        got["ratios"] = {"docker-registry": round(faster, 3), "sha256 + dd": round(beyond, 3)}
        self.row("  docker-registry / portolan", f"{faster:.2f}", ">= 2", faster >= 2)
        self.row("  portolan / (openssl dgst + dd conv=fsync)", f"{beyond:.2f}", "<= 1.6",
                 beyond <= 1.6)

    def scene_small(self):
        def push(server):
            got = load.push_small(f"http://127.0.0.1:{server.port}", "bench/small", 16,
                                  self.want.seconds,
                                  server.header("repository:bench/small:pull,push"))
            return got["images"] / got["seconds"], got["images"]

        self.rounds("push small", [self.sealed, self.registry], push)
        self.table("push small", "small images (3 blobs, 8 KiB), 16 clients, one repository",
                   "/s", ("portolan", "docker-registry", 3))

    def scene_storm(self):
        image = Image("bench/storm", "v1", (2048,) + (MIB,) * STORM_LAYERS)
        for server in self.peers:
            image.put_into(server)
        for server in self.peers:
            def act(server=server):
                return load.load(server, STORM_CLIENTS, "times", 1, "GET",
                                 server.header(image.scope), image.manifest_path,
                                 *image.blob_paths)
            if server is self.sealed:
                with Sampler(server.private_kib) as memory, \
                        profile.of(server, "storm", self.want.profile):
                    got = act()
                got["private_mib"] = round(memory.peak / 1024, 1)
            else:
                got = act()
            self.result.setdefault("storm", {})[server.name] = got
            ratio = got["max_us"] / got["p50_us"]
            is_ours = server is self.sealed
            self.row(f"{STORM_CLIENTS} clients pull {STORM_LAYERS} x 1 MiB at once: {server.name}",
                     f"{got['max_us'] / 1e6:.2f} s")
            self.row("  slowest / median client", f"{ratio:.2f}", "<= 3" if is_ours else "",
                     ratio <= 3 if is_ours else None)
        peak = self.result["storm"]["portolan"]["private_mib"]
        self.row("  private memory of the data plane, peak", f"{peak} MiB", "<= 64 MiB", peak <= 64)

    def scene_edge(self):
        edge = Edge(self.base, self.peers)
        scope, seconds = self.image.scope, self.want.seconds
        for scene, path, connections in (
                ("edge get manifest", self.image.manifest_path, 32),
                ("edge get 1 MiB blob", self.image.blob_paths[1], 8),
                ("edge get 64 MiB blob", self.image.blob_paths[2], 8)):
            is_rate = scene == "edge get manifest"

            def get(server, path=path, connections=connections, is_rate=is_rate):
                got = load.wrk(f"https://127.0.0.1:{edge.ports[server.name]}{path}",
                               server.header(scope), connections, seconds)
                units = got["requests"] if is_rate else got["bytes"] / MIB
                return units / got["seconds"], units

            self.rounds(scene, self.peers, get)
            self.table(scene, f"through the edge, TLS: {scene.removeprefix('edge ')}",
                       "/s" if is_rate else "MiB/s")

        def push(server):
            got = load.push_small(f"https://localhost:{edge.ports[server.name]}", "bench/small", 16,
                                  seconds, server.header("repository:bench/small:pull,push"),
                                  edge.ca)
            return got["images"] / got["seconds"], got["images"]

        self.rounds("edge push small", [self.sealed, self.registry], push)
        self.table("edge push small", "through the edge, TLS: small images, 16 clients", "/s")
        edge.stop()

    def scene_hot(self):
        """Which statements and system calls a hot pull costs."""
        times = 1000
        header = self.sealed.header(self.image.scope)
        paths = [self.image.manifest_path, self.image.blob_paths[0], self.image.blob_paths[0]]

        def pull():
            return load.load(self.sealed, 32, "times", times, "GET", header, *paths)

        pull()
        self.postgres.count_statements(True)
        got = pull()
        statements = self.postgres.statements()
        self.postgres.count_statements(False)
        self.result["hot"] = {"requests": got["requests"], "statements": statements}
        asked = sum(n for text, n in statements.items()
                    if "generation" not in text and text.split()[0] not in ("begin", "commit"))
        self.row(f"statements during {got['requests']:,} hot GETs, besides the freshness check",
                 asked, "0", asked == 0)
        for text, calls in statements.items():
            self.row(f"  {text[:64]}", calls)
        calls, requests = profile.system_calls(
            self.sealed, lambda: load.load(self.sealed, 32, "times", times, "GET", header,
                                           self.image.manifest_path))
        self.result["hot"]["system_calls"] = {n: round(c / requests, 3) for n, c in calls.items()}
        self.row("system calls per GET manifest", f"{sum(calls.values()) / requests:.2f}")
        for name, count in sorted(calls.items(), key=lambda pair: -pair[1])[:6]:
            self.row(f"  {name}", f"{count / requests:.3f}")

    def scene_pages(self):
        want = self.want
        rows = scale.fill(self.postgres, self.sealed, want.tags, want.referrers, want.repositories)
        for what, pages in rows:
            got = scale.pages(self.sealed, pages, want.page_samples)
            self.result[f"pages {what}"] = got
            for page, (p50, p99) in got.items():
                self.row(f"{what}, {page} page: p50 / p99", f"{p50:.1f} / {p99:.1f} ms",
                         "p99 <= 10 ms", p99 <= 10)


def main():
    options = argparse.ArgumentParser(description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("scenes", nargs="*", metavar="SCENE", help=f"of {', '.join(SCENES)}")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=3, help="of load per round and server")
    options.add_argument("--tags", type=int, default=1_000_000)
    options.add_argument("--referrers", type=int, default=10_000)
    options.add_argument("--repositories", type=int, default=100_000)
    options.add_argument("--page-samples", type=int, default=300)
    options.add_argument("--dir", default="/var/tmp", help="where the servers keep their files; a "
                         "file system with a real fsync")
    options.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE",
                         help="of the data planes, as in their configuration file")
    options.add_argument("--profile", metavar="DIR", help="writes what perf sees of the data plane")
    want = options.parse_args()
    for scene in want.scenes:
        if scene not in SCENES:
            options.error(f"no scene {scene}; there are: {', '.join(SCENES)}")
    bench = Bench(want)
    try:
        bench.start_all()
        for scene in want.scenes or SCENES:
            getattr(bench, f"scene_{scene}")()
    finally:
        bench.stop_all()
    bench.result["machine"] = {"cores": os.cpu_count(), "kernel": platform.release()}
    bench.result["commit"] = subprocess.run(
        ["git", "-C", os.path.dirname(__file__), "rev-parse", "--short", "HEAD"], text=True,
        capture_output=True, check=False).stdout.strip()
    print(json.dumps(bench.result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
