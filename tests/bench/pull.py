"""./dev bench pull: pulls from a data plane beside Debian's docker-registry, distribution v3 and zot
(both built from their Go modules where that is possible) and nginx serving the same bytes as plain
files, all started in this run on this machine.

Rounds alternate between the servers; every figure is the median of its rounds. Data planes check a
bearer token on every request; the others run without authentication, and nobody writes an access
log. Prints a table and, on the last line, the same as JSON. Asserts only that everything worked,
never on time.

  unencrypted   the same data plane with encryption at rest turned off
  hot-bytes=0   the same data plane without memory for decrypted content: every reader decrypts"""

import sys

from rig import load, profile
from rig.bench import Bench, image_of
from rig.load import MIB, Image, Sampler
from rig.servers import DataPlane, Edge

# What compares the process's knowledge with the published one, twice a second while requests come.
FRESHNESS = "select r.generation, r.grants_version"
HOT_TRIES = 4


class Pull(Bench):
    SCENES = ("manifest", "blobs", "storm", "edge", "hot")

    def start_all(self):
        want = self.want
        self.large = (8 if want.quick else 64) * MIB
        self.clients, self.layers = (50 if want.quick else 1000), 5
        self.start_data_planes()
        self.alone = DataPlane(self.base, self.postgres, "hot-bytes=0",
                               options=[*want.set, "hot-bytes=0"])
        self.start_peers(with_nginx=True)
        self.image = image_of((2048, MIB, self.large))
        self.load_all(self.image)
        self.image.put_into(self.alone)

    def get_rate(self, path, connections):
        def act(server):
            got = load.wrk(f"http://127.0.0.1:{server.port}{path}",
                           server.header(self.image.scope), connections, self.want.seconds)
            return got["requests"] / got["seconds"], got["requests"]
        return act

    def head_rate(self, path):
        def act(server):
            got = load.load(server, 32, "seconds", self.want.seconds, "HEAD",
                            server.header(self.image.scope), path)
            return got["requests"] / got["seconds"], got["requests"]
        return act

    def scene_manifest(self):
        path = self.image.manifest_path
        self.rounds("get manifest", self.servers, self.get_rate(path, 32))
        self.table("get manifest", "GET manifest by tag, 32 connections", "/s",
                   ("portolan", "nginx", 0.7), ("portolan", "docker-registry", 40))
        for scene, what, of in (("head manifest", "HEAD manifest by tag", path),
                                ("head blob", "HEAD blob", self.image.blob_paths[1])):
            self.rounds(scene, self.servers, self.head_rate(of))
            self.table(scene, f"{what}, 32 connections", "/s", ("portolan", "nginx", 0.7))
        self.rounds("get 2 KiB blob", self.servers, self.get_rate(self.image.blob_paths[0], 32))
        self.table("get 2 KiB blob", "GET 2 KiB blob, 32 connections", "/s")

    def scene_blobs(self):
        for at, size in ((1, "1 MiB"), (2, f"{self.large // MIB} MiB")):
            path = self.image.blob_paths[at]

            def get(server, path=path):
                got = load.wrk(f"http://127.0.0.1:{server.port}{path}",
                               server.header(self.image.scope), 8, self.want.seconds)
                return got["bytes"] / got["seconds"] / MIB, got["bytes"] / MIB

            scene = f"get {size} blob"
            self.rounds(scene, [*self.servers, self.plain, self.alone], get)
            more = (("unencrypted", "nginx", 0.95),) if at == 2 else ()
            self.table(scene, f"GET {size} blob, 8 connections", "MiB/s",
                       ("portolan", "nginx", 0.6), ("portolan", "docker-registry", 1.2), *more)

    def scene_storm(self):
        image = Image("bench/storm", "v1", (2048,) + (MIB,) * self.layers)
        self.load_all(image)
        for server in self.servers:
            def act(server=server):
                return load.load(server, self.clients, "times", 1, "GET",
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
            self.row(f"{self.clients:,} clients pull {self.layers} x 1 MiB at once: {server.name}",
                     f"{got['max_us'] / 1e6:.2f} s")
            self.row("  slowest / median client", f"{ratio:.2f}", "<= 3" if is_ours else "",
                     ratio <= 3 if is_ours else None)
        peak = self.result["storm"]["portolan"]["private_mib"]
        self.row("  memory of the data plane, with decrypted content, peak", f"{peak} MiB",
                 "<= 64 MiB", peak <= 64)

    def scene_edge(self):
        edge = Edge(self.base, self.servers)
        scope, seconds = self.image.scope, self.want.seconds
        for scene, path, connections in (
                ("edge get manifest", self.image.manifest_path, 32),
                ("edge get 1 MiB blob", self.image.blob_paths[1], 8),
                ("edge get large blob", self.image.blob_paths[2], 8)):
            is_rate = scene == "edge get manifest"

            def get(server, path=path, connections=connections, is_rate=is_rate):
                got = load.wrk(f"https://127.0.0.1:{edge.ports[server.name]}{path}",
                               server.header(scope), connections, seconds)
                units = got["requests"] if is_rate else got["bytes"] / MIB
                return units / got["seconds"], units

            self.rounds(scene, self.servers, get)
            self.table(scene, f"through the edge, TLS: {scene.removeprefix('edge ')}",
                       "/s" if is_rate else "MiB/s")
        edge.stop()

    def scene_hot(self):
        """Which statements and system calls a hot pull costs."""
        times = 100 if self.want.quick else 1000
        header = self.sealed.header(self.image.scope)
        paths = [self.image.manifest_path, self.image.blob_paths[0], self.image.blob_paths[0]]

        def pull():
            got = [load.load(self.sealed, 32, "times", times, method, header, *paths)
                   for method in ("GET", "HEAD")]
            return {"requests": sum(g["requests"] for g in got)}

        pull()
        # The planes' own work, collection and walks through their files, asks now and then as well:
        # what pulls ask would be asked every time.
        for _ in range(HOT_TRIES):
            self.postgres.count_statements(True)
            got = pull()
            statements = self.postgres.statements()
            self.postgres.count_statements(False)
            asked = sum(n for text, n in statements.items()
                        if not text.startswith((FRESHNESS, "begin", "commit")))
            if asked == 0:
                break
        self.result["hot"] = {"requests": got["requests"], "statements": statements,
                              "asked": asked, "system_calls": {}}
        self.row(f"statements of {got['requests']:,} hot requests, besides the freshness check",
                 asked, "0", asked == 0)
        for text, calls in statements.items():
            self.row(f"  {text[:64]}", calls)
        for what, path in (("manifest", paths[0]), ("2 KiB blob", paths[1]),
                           ("1 MiB blob", self.image.blob_paths[1])):
            calls, requests = profile.system_calls(
                self.sealed, lambda path=path: load.load(self.sealed, 32, "times", times // 10,
                                                         "GET", header, path))
            self.result["hot"]["system_calls"][what] = {n: round(c / requests, 3)
                                                        for n, c in calls.items()}
            self.row(f"system calls per GET of a {what}", f"{sum(calls.values()) / requests:.2f}")
            for name, count in sorted(calls.items(), key=lambda pair: -pair[1])[:6]:
                self.row(f"  {name}", f"{count / requests:.3f}")


if __name__ == "__main__":
    sys.exit(Pull.main(__doc__))
