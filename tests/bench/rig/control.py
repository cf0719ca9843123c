"""A control plane of the benchmarks: an instance of its own whose management API also listens directly,
without an edge; the rows of a large subscription; and a client."""

import http.client
import json
import os
import subprocess
import time

from rig.load import HERE, quantile
from rig.servers import free_port
from support import rows
from support.instance import API, Instance


class ControlPlane(Instance):
    def start_all(self):
        self.up()
        self.port_direct = free_port()
        self.stop("controlplane")
        with open(f"{self.state}/config", "a", encoding="utf-8") as f:
            f.write(f"listen = 127.0.0.1:{self.port_direct}\n")
        self.start("controlplane")
        self.url = f"http://127.0.0.1:{self.port_direct}"
        return self

    @property
    def header(self):
        return f"Authorization: Bearer {self.token()}"

    def client(self):
        return Client(self.port_direct, self.token())

    def put_maps(self, prefix, names, clients, seconds):
        """wrk's numbers of PUTs below a prefix: of one of so many names, or (0) each of a new one."""
        done = subprocess.run(
            ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "--timeout", "30s", "-s",
             os.path.join(HERE, "manage.lua"), "-H", self.header, "-H",
             "Content-Type: application/json", self.url],
            text=True, capture_output=True, check=True,
            env={**os.environ, "PORTOLAN_PATH": prefix, "PORTOLAN_QUERY": f"?api-version={API}",
                 "PORTOLAN_NAMES": str(names)})
        got = json.loads(done.stdout.strip().splitlines()[-1])
        assert got["errors"] == 0, got
        return got

    def multiply(self, model, count, prefix, groups=None):
        rows.multiply(self.sql, model, count, prefix, groups)


class Client:
    """One keep-alive connection to the direct listener."""

    def __init__(self, port, token):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.connection.connect()
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self, method, path, body=None, wanted=(200, 201, 202)):
        self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        reply = self.connection.getresponse()
        text = reply.read()
        assert reply.status in wanted, (method, path, reply.status, text[:500])
        return json.loads(text) if text else None

    def pages(self, path):
        """The paths of the first, a middle and the last page of a list, and how many items it has."""
        paths, items = [], 0
        while path:
            paths.append(path)
            page = self.call("GET", path)
            items += len(page["value"])
            link = page.get("nextLink")
            path = link and "/" + link.split("/", 3)[3]
        numbers = sorted({0, len(paths) // 2, len(paths) - 1})
        return {f"page {n + 1}": paths[n] for n in numbers}, items

    def times(self, wanted, samples, most_s):
        """{page: (p50, p99)} in milliseconds, one request at a time, the pages by turns."""
        took = {page: [] for page in wanted}
        until = time.monotonic() + most_s
        for _ in range(samples):
            if time.monotonic() > until:
                break
            for page, path in wanted.items():
                begun = time.perf_counter()
                self.call("GET", path)
                took[page].append(1000 * (time.perf_counter() - begun))
        return {page: (round(quantile(v, 0.5), 2), round(quantile(v, 0.99), 2))
                for page, v in took.items()}
