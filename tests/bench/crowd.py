"""./dev bench crowd: what healthy clients notice of greedy ones. Four clients pull a manifest and a small
blob over kept connections, at first alone, then beside

  readers   that ask for a large blob and hardly read it
  writers   whose uploads trickle
  idle      connections, 2,000 of them: half of a request, or nothing more after one

and beside all of these at once. Rounds alternate between alone and beside; the figure is the 99th
percentile of a request, the median of its rounds. The healthy clients ask as fast as they are
answered, so what is compared is one busy data plane with another.

Prints a table and, on the last line, the same as JSON. Asserts only that everything worked, never on
time."""

import contextlib
import resource
import socket
import statistics
import sys
import threading

from rig import load
from rig.bench import Bench, image_of
from rig.load import MIB, digest_of

HEALTHY = 4
DESCRIPTORS = 60000


class Crowd:
    """Connections to a server, and a thread that lets each move a little every second."""

    def __init__(self, port):
        self.port, self.sockets, self.turns = port, [], []
        self.is_over = threading.Event()

    def connect(self, request, buffer=None):
        s = socket.socket()
        if buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        s.settimeout(30)
        s.connect(("127.0.0.1", self.port))
        s.sendall(request)
        self.sockets.append(s)
        return s

    def each_second(self, turn):
        self.turns.append(turn)

    def move(self):
        while not self.is_over.wait(1):
            for turn in self.turns:
                with contextlib.suppress(OSError):  # the server may have lost its patience
                    turn()

    def __enter__(self):
        self.mover = threading.Thread(target=self.move, daemon=True)
        self.mover.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.mover.join()
        for s in self.sockets:
            s.close()


class Crowds(Bench):
    SCENES = ("readers", "writers", "idle", "all")

    def start_all(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, DESCRIPTORS), hard))
        self.start_data_planes()
        self.image = image_of((2048, (8 if self.want.quick else 64) * MIB))
        self.image.put_into(self.sealed)
        self.head = f"Host: 127.0.0.1\r\n{self.sealed.header(self.image.scope)}\r\n"

    # --- kinds of clients ------------------------------------------------------------------------

    def count(self, many):
        return many // 20 if self.want.quick else many

    def readers(self, crowd):
        request = f"GET {self.image.blob_paths[1]} HTTP/1.1\r\n{self.head}\r\n".encode()
        for _ in range(self.count(200)):
            s = crowd.connect(request, buffer=4096)
            crowd.each_second(lambda s=s: s.recv(1024))
        return self.count(200)

    def writers(self, crowd):
        size = 1 << 20
        place = (f"/v2/{self.image.repository}/blobs/uploads/?digest="
                 f"{digest_of(b'never to be whole')}")
        request = f"POST {place} HTTP/1.1\r\n{self.head}Content-Length: {size}\r\n\r\nx".encode()
        for _ in range(self.count(200)):
            s = crowd.connect(request)
            crowd.each_second(lambda s=s: s.sendall(b"x" * 100))
        return self.count(200)

    def idle(self, crowd):
        half = f"GET /v2/ HTTP/1.1\r\n{self.head}X-Slow: ".encode()
        whole = f"GET /v2/ HTTP/1.1\r\n{self.head}\r\n".encode()
        for i in range(self.count(2000)):
            s = crowd.connect(whole if i % 2 else half)
            if i % 2:
                assert b" 200 " in s.recv(4096)
        return self.count(2000)

    # --- what the healthy see --------------------------------------------------------------------

    def healthy(self):
        got = load.load(self.sealed, HEALTHY, "seconds", self.want.seconds, "GET",
                        self.sealed.header(self.image.scope), self.image.manifest_path,
                        self.image.blob_paths[0])
        return got["p50_us"], got["p99_us"]

    def beside(self, scene, what, *kinds):
        alone, among = [], []
        for i in range(self.want.rounds):
            for is_among in (False, True) if i % 2 == 0 else (True, False):
                if not is_among:
                    alone.append(self.healthy())
                    continue
                with Crowd(self.sealed.port) as crowd:
                    count = sum(kind(crowd) for kind in kinds)
                    among.append(self.healthy())
                    held = self.sealed.private_kib() / 1024

        def median(rows, at):
            return statistics.median(row[at] for row in rows)
        ratio = median(among, 1) / max(median(alone, 1), 1)
        self.result[scene] = {"connections": count, "alone_us": alone, "beside_us": among,
                              "p99 ratio": round(ratio, 3), "private_mib": round(held, 1)}
        for name, rows in (("alone", alone), (f"beside {count:,} {what}", among)):
            self.row(f"{HEALTHY} healthy clients, {name}: p50 / p99",
                     f"{median(rows, 0) / 1000:.2f} / {median(rows, 1) / 1000:.2f} ms")
        self.row("  p99, beside / alone", f"{ratio:.2f}", "<= 2", ratio <= 2)
        self.row("  private memory meanwhile", f"{held:,.0f} MiB")

    def scene_readers(self):
        self.beside("readers", "slow readers", self.readers)

    def scene_writers(self):
        self.beside("writers", "slow writers", self.writers)

    def scene_idle(self):
        self.beside("idle", "idle connections", self.idle)

    def scene_all(self):
        self.beside("all", "of all kinds", self.readers, self.writers, self.idle)


if __name__ == "__main__":
    sys.exit(Crowds.main(__doc__))
