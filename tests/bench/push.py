"""./dev bench push: pushes to a data plane, fsync and encryption included, beside Debian's
docker-registry, distribution v3 and zot (both built from their Go modules where that is possible),
which do not fsync, all started in this run on this machine; and beside the simplest programs that
hash and write the same bytes durably.

Rounds alternate between the servers; every figure is the median of its rounds. Prints a table and,
on the last line, the same as JSON. Asserts only that everything worked, never on time."""

import os
import statistics
import subprocess
import sys

from rig import load
from rig.bench import Bench
from rig.load import MIB, Client, timed
from rig.servers import Edge

CLIENTS = 16


class Push(Bench):
    SCENES = ("layer", "small", "edge")

    def start_all(self):
        self.start_data_planes()
        self.start_peers(with_nginx=False)

    def simplest_s(self, file):
        """openssl dgst and dd conv=fsync of the file, one after the other."""
        copy = os.path.join(self.base, "copy")
        took = timed(lambda: subprocess.run(["openssl", "dgst", "-sha256", file], check=True,
                                            stdout=subprocess.DEVNULL))
        took += timed(lambda: subprocess.run(["dd", f"if={file}", f"of={copy}", "bs=1M",
                                              "conv=fsync", "status=none"], check=True))
        os.unlink(copy)
        os.sync()
        return took

    def scene_layer(self):
        size = (16 if self.want.quick else 256) * MIB
        what = f"push of one {size // MIB} MiB layer"
        content = bytearray(os.urandom(size))
        file = os.path.join(self.base, "layer")
        sums = []

        def push(server):
            content[:16] = os.urandom(16)
            with open(file, "wb") as f:
                f.write(content)
            os.sync()
            if server is self.sealed:
                sums.append(self.simplest_s(file))
            digest = load.digest_of(content)
            client = Client(server, "repository:bench/layers:pull,push")
            return timed(lambda: client.put_blob("bench/layers", content, digest)), 1

        got = self.rounds("push layer", [*self.registries, self.plain], push)
        got["sha256 + dd"] = round(statistics.median(sums), 4)
        for name in (*got["cpu_us"], "sha256 + dd"):
            cost = got["cpu_us"].get(name)
            self.row(f"{what}: {name}", f"{got[name]:.2f} s",
                     f"{cost / 1e6:.2f} s CPU" if cost else "")
        got["ratios"] = {}
        for peer in (self.registry, *self.others):
            faster = got[peer.name] / got["portolan"]
            got["ratios"][peer.name] = round(faster, 3)
            is_goal = peer is self.registry
            self.row(f"  {peer.name} / portolan", f"{faster:.2f}", ">= 2" if is_goal else "",
                     faster >= 2 if is_goal else None)
        beyond = got["portolan"] / got["sha256 + dd"]
        got["ratios"]["sha256 + dd"] = round(beyond, 3)
        self.row("  portolan / (openssl dgst + dd conv=fsync)", f"{beyond:.2f}", "<= 1.6",
                 beyond <= 1.6)

    def push_rate(self, url_of, ca=None):
        def act(server):
            got = load.push_small(url_of(server), "bench/small", CLIENTS, self.want.seconds,
                                  server.header("repository:bench/small:pull,push"), ca)
            return got["images"] / got["seconds"], got["images"]
        return act

    def scene_small(self):
        self.rounds("push small", [*self.registries, self.plain],
                    self.push_rate(lambda server: f"http://127.0.0.1:{server.port}"))
        self.table("push small",
                   f"small images (3 blobs, 8 KiB), {CLIENTS} clients, one repository", "/s",
                   ("portolan", "docker-registry", 3))

    def scene_edge(self):
        edge = Edge(self.base, self.registries)
        self.rounds("edge push small", self.registries,
                    self.push_rate(lambda server: f"https://localhost:{edge.ports[server.name]}",
                                   edge.ca))
        self.table("edge push small", f"through the edge, TLS: small images, {CLIENTS} clients",
                   "/s")
        edge.stop()


if __name__ == "__main__":
    sys.exit(Push.main(__doc__))
