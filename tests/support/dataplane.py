"""One data plane on its own: a private PostgreSQL, a registry published by SQL, and a process on a
plain listener. No control plane, no edge."""

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid

import jwt
import requests

from support.instance import sanitizer_reports, unnamed_refusals

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("PORTOLAN_BUILD_DIR", os.path.join(ROOT, "build", "release"))
PG_BIN = "/usr/lib/postgresql/15/bin"
NULL_USER = "00000000-0000-0000-0000-000000000000"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sha512(data):
    return "sha512:" + hashlib.sha512(data).hexdigest()


def descriptor(data, media_type, **more):
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data), **more}


class Postgres:
    """A cluster in a directory of its own, on a Unix socket only."""

    def __init__(self, base):
        self.data = os.path.join(base, "pg")
        self.run = os.path.join(base, "run")
        self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] \
            if os.getuid() == 0 else []
        for path in (self.data, self.run):
            os.mkdir(path, 0o700)
            if self.as_user:
                shutil.chown(path, "postgres", "postgres")
        self.tool("initdb", "-D", self.data, "-U", "portolan", "--auth=trust", "-N")
        with open(os.path.join(self.data, "postgresql.conf"), "a") as conf:
            conf.write("listen_addresses = ''\nunix_socket_directories = '%s'\n"
                       "max_connections = 60\nlog_min_messages = warning\n" % self.run)
        os.chmod(self.run, 0o755)

    def tool(self, name, *args):
        subprocess.run([*self.as_user, f"{PG_BIN}/{name}", *args], check=True,
                       stdout=subprocess.DEVNULL, cwd="/")

    def start(self):
        self.tool("pg_ctl", "-D", self.data, "-w", "-s", "-l", os.path.join(self.data, "log"),
                  "start")

    def stop(self, mode="fast"):
        self.tool("pg_ctl", "-D", self.data, "-w", "-s", "-m", mode, "stop")

    def url(self, name):
        return f"postgresql:///{name}?host={self.run}&user=portolan"

    def sql(self, text, name="region"):
        done = subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", self.url(name)],
                              input=text, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @contextlib.contextmanager
    def statements(self):
        """A function that gives the names of the statements that data planes have run since the block began,
        in order."""
        path = os.path.join(self.data, "log")

        def read(start):
            with open(path, encoding="utf-8", errors="replace") as log:
                log.seek(start)
                return re.findall(r"^portolan-dataplane LOG:  execute (\w+):", log.read(), re.M)
        self.sql("alter system set log_line_prefix = '%a '; alter system set log_statement = 'all'; "
                 "select pg_reload_conf()")
        try:
            begun = os.path.getsize(path)
            yield lambda: read(begun)
        finally:
            self.sql("alter system reset log_line_prefix; alter system reset log_statement; "
                     "select pg_reload_conf()")


class DataPlane:
    def __init__(self, *options):
        # Short, because Unix socket paths below it are limited to 107 bytes.
        self.base = tempfile.mkdtemp(prefix="pd-", dir="/tmp")
        os.chmod(self.base, 0o755)
        self.options = list(options)
        self.id, self.tenant, self.principal = (str(uuid.uuid4()) for _ in range(3))
        self.process = None
        self.environment = {}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # Where clients find the token endpoint.
        self.login_server = f"127.0.0.1:{self.port}"
        self.log_path = os.path.join(self.base, "log")
        self.blobs = os.path.join(self.base, "blobs", self.id)
        self.pg = Postgres(self.base)
        self.pg.start()
        try:
            self.migrate()
            self.publish()
        except BaseException:
            self.close()
            raise

    def migrate(self):
        self.pg.sql("create database region", "postgres")
        folder = os.path.join(ROOT, "migrations", "region")
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name)) as migration:
                self.pg.sql(migration.read())

    def publish(self):
        done = subprocess.run(
            [os.path.join(BUILD, "tests", "publish_registry"), self.id, "testreg",
             self.login_server, self.path("service.key"), self.tenant, self.principal, self.path("directory.pem")],
            text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        self.pg.sql(done.stdout)
        self.secrets = dict(line.split("=", 1) for line in done.stderr.splitlines())
        self.admin = ("testreg", self.secrets["testreg"])

    def path(self, name):
        return os.path.join(self.base, name)

    # --- life ------------------------------------------------------------------------------------

    def start(self):
        ready, told = os.pipe()
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "dataplane", "portolan-dataplane"), "--registry-id", self.id,
             "--region", "eastus", "--metadata-db", self.pg.url("region"), "--blobs", self.blobs,
             "--service-key-file", self.path("service.key"), "--realm-scheme", "http",
             "--listen", f"127.0.0.1:{self.port}", "--ready-fd", str(told), *self.options],
            stderr=log, pass_fds=[told], env={**os.environ, **self.environment})
        os.close(told)
        log.close()
        line = os.read(ready, 1)
        os.close(ready)
        assert line == b"\n", self.log()
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=20)

    def close(self):
        if self.process and self.process.poll() is None:
            self.stop()
        self.pg.stop("immediate")
        log = self.log() if os.path.exists(self.log_path) else ""
        shutil.rmtree(self.base, ignore_errors=True)
        problems = sanitizer_reports(log) + unnamed_refusals(log)
        assert not problems, "\n".join(problems[:20])

    def check(self):
        """Fails when it crashed, or a sanitizer found something."""
        assert self.process.poll() is None, self.log()[-4000:]
        assert sanitizer_reports(self.log()) == []

    def log(self):
        with open(self.log_path, errors="replace") as text:
            return text.read()

    # --- requests --------------------------------------------------------------------------------

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def call(self, method, path, **more):
        more.setdefault("auth", self.admin)
        if more["auth"] is None or "Authorization" in more.get("headers", {}):
            more.pop("auth")
        return requests.request(method, self.url + path, timeout=30, **more)

    def token(self, *scopes, user=None):
        reply = requests.get(self.url + "/oauth2/token", auth=user or self.admin, timeout=30,
                             params=[("service", self.login_server)] + [("scope", s) for s in scopes])
        assert reply.status_code == 200, reply.text
        return reply.json()["access_token"]

    def bearer(self, *scopes, user=None):
        return {"Authorization": "Bearer " + self.token(*scopes, user=user)}

    def directory_token(self, **changes):
        now = int(time.time())
        claims = {"iss": "https://issuer.test/", "aud": "https://arm.test", "tid": self.tenant,
                  "oid": self.principal, "nbf": now - 5, "iat": now, "exp": now + 600, **changes}
        with open(self.path("directory.pem")) as pem:
            return jwt.encode(claims, pem.read(), algorithm="ES256",
                              headers={"kid": self.secrets["kid"]})

    def registry_token(self, access, **changes):
        """An access token signed with the registry's own key, with claims of the test's choice."""
        honest = jwt.decode(self.token(*access), options={"verify_signature": False})
        with open(self.path("directory.pem.registry")) as pem:
            return jwt.encode({**honest, **changes}, pem.read(), algorithm="ES256",
                              headers={"kid": self.secrets["registry-kid"]})

    # --- content ---------------------------------------------------------------------------------

    def push_blob(self, repository, data, digest=None, **more):
        reply = self.call("POST", f"/v2/{repository}/blobs/uploads/", **more)
        assert reply.status_code == 202, reply.text
        done = self.call("PUT", reply.headers["Location"], params={"digest": digest or sha256(data)},
                         data=data, **more)
        assert done.status_code == 201, done.text
        return digest or sha256(data)

    def push_manifest(self, repository, reference, manifest, media_type=MANIFEST, **more):
        data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        reply = self.call("PUT", f"/v2/{repository}/manifests/{reference}", data=data,
                          headers={"Content-Type": media_type}, **more)
        return reply, data

    def push_image(self, repository, tag, seed=b"", config=None):
        config = config or json.dumps({"architecture": "amd64", "os": "linux", "seed":
                                       base64.b64encode(seed).decode()}).encode()
        layer = b"layer " + seed
        self.push_blob(repository, config)
        self.push_blob(repository, layer)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                    "config": descriptor(config, CONFIG), "layers": [descriptor(layer, LAYER)]}
        reply, data = self.push_manifest(repository, tag, manifest)
        assert reply.status_code == 201, reply.text
        return data


@contextlib.contextmanager
def running(*options):
    """A data plane that serves, and what it leaves is removed."""
    it = DataPlane(*options)
    try:
        yield it.start()
    finally:
        it.close()
