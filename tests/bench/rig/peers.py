"""Registries that are built from their Go modules, where Go is there and the modules are to be had;
else they are left out, with the reason. A program that is there already is taken from
PORTOLAN_BENCH_DISTRIBUTION or PORTOLAN_BENCH_ZOT."""

import json
import os
import shutil
import subprocess

from rig.servers import ROOT, Server, free_port, listens, write

BUILT = os.path.join(ROOT, "build", "peers")
BUILD_S = 1800


class Peer(Server):
    """A registry of one Go program."""

    name = module = program = given = ""

    def __init__(self, base, program):
        super().__init__(base, self.name)
        self.port = free_port()
        self.spawn(program, "serve", self.configure(), ready=lambda: listens(self.port),
                   env={"PATH": os.environ["PATH"], "HOME": self.dir,
                        "OTEL_TRACES_EXPORTER": "none"})

    def header(self, scope):
        del scope
        return ""

    def configure(self):
        raise NotImplementedError


class Distribution(Peer):
    name = "distribution v3"
    module = "github.com/distribution/distribution/v3/cmd/registry@v3.0.0"
    program, given = "registry", "PORTOLAN_BENCH_DISTRIBUTION"

    def configure(self):
        return write(self.path("config.yml"), f"""version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: {self.path("data")}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{self.port}"}}
""")


class Zot(Peer):
    name = "zot"
    module = "zotregistry.dev/zot/v2/cmd/zot@v2.1.8"
    program, given = "zot", "PORTOLAN_BENCH_ZOT"

    def configure(self):
        return write(self.path("config.json"), json.dumps({
            "distSpecVersion": "1.1.1", "log": {"level": "error"},
            "storage": {"rootDirectory": self.path("data"), "dedupe": False, "gc": False},
            "http": {"address": "127.0.0.1", "port": str(self.port)}}))


def program_of(peer, is_quick):
    """(path, None) or (None, why not)."""
    path = os.environ.get(peer.given) or os.path.join(BUILT, peer.program)
    if os.access(path, os.X_OK):
        return path, None
    if is_quick:
        return None, "not built, and a quick run builds nothing"
    if not shutil.which("go"):
        return None, "there is no Go to build it with"
    print(f"building {peer.module}", flush=True)
    done = subprocess.run(["go", "install", peer.module], text=True, capture_output=True,
                          env={**os.environ, "GOBIN": BUILT}, timeout=BUILD_S, check=False)
    if done.returncode or not os.access(path, os.X_OK):
        return None, "its module cannot be built: " + " ".join(done.stderr.split())[-120:]
    return path, None


def start(base, skipped, is_quick):
    """The peers that run; why others do not goes to skipped."""
    started = []
    for peer in (Distribution, Zot):
        program, why = program_of(peer, is_quick)
        if program:
            try:
                started.append(peer(base, program))
                continue
            except AssertionError as e:
                why = "it does not start: " + " ".join(str(e).split())[-160:]
        skipped[peer.name] = why
    return started
