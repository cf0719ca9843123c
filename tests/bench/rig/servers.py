"""The servers of the benchmarks, each in a directory of its own on a free loopback port, ended by its
process id: data planes with a private PostgreSQL, docker-registry, nginx, and one HAProxy in front
of all of them. Data planes run without a control plane: the rows it would publish are written
here."""

import http.client
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time
import urllib.parse
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.environ.get("PORTOLAN_BUILD_DIR") or os.path.join(ROOT, "build", "release")
PG_BIN = "/usr/lib/postgresql/15/bin"
START_S = 30
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ALL_PERMISSIONS = [{"type": "repository", "name": "*", "actions": ["*"]},
                   {"type": "registry", "name": "catalog", "actions": ["*"]}]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def plain_name(name):
    return re.sub("[^a-z0-9]+", "-", name)


class Server:
    """One child process with its log file."""

    running = []  # every one that was spawned, also when its start failed later

    def __init__(self, base, name):
        self.name = name
        self.dir = os.path.join(base, name)
        os.makedirs(self.dir)
        os.chmod(self.dir, 0o755)
        self.process = None

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def spawn(self, *argv, ready, **options):
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            **options)
        self.running.append(self)
        deadline = time.monotonic() + START_S
        while not ready():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log_tail()
            time.sleep(0.02)

    def log_tail(self):
        with open(self.path("log"), errors="replace") as f:
            return f"{self.name} does not run:\n" + "".join(f.readlines()[-20:])

    @property
    def pid(self):
        return self.process.pid

    def cpu_s(self):
        """Processor time of the process and its children so far."""
        pids, total = [self.pid], 0
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="utf-8") as f:
            pids += [int(p) for p in f.read().split()]
        for pid in pids:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                user, system = f.read().rpartition(")")[2].split()[11:13]
            total += int(user) + int(system)
        return total / os.sysconf("SC_CLK_TCK")

    def stop(self, how=signal.SIGTERM):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Postgres(Server):
    """Settings as ./dev up writes them; pg_stat_statements is loaded, and counts when asked."""

    def __init__(self, base):
        super().__init__(base, "postgres")
        self.run = self.path("run")
        os.makedirs(self.run)
        user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
        if user:
            subprocess.run(["chown", "-R", "postgres:postgres", self.dir], check=True)
        os.chmod(self.run, 0o700)
        subprocess.run([f"{PG_BIN}/initdb", "-D", self.path("data"), "-U", "portolan",
                        "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8",
                        "--locale=C.UTF-8", "--data-checksums"],
                       check=True, stdout=subprocess.DEVNULL, **user)
        settings = {"listen_addresses": "", "unix_socket_directories": self.run,
                    "max_connections": "400", "shared_buffers": "256MB", "max_wal_size": "2GB",
                    "jit": "off", "shared_preload_libraries": "pg_stat_statements",
                    "pg_stat_statements.track": "none", "pg_stat_statements.save": "off"}
        with open(self.path("data", "postgresql.conf"), "a", encoding="utf-8") as f:
            f.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.spawn(f"{PG_BIN}/postgres", "-D", self.path("data"), ready=self.answers, **user)
        self.sql("postgres", "create database bench")
        folder = os.path.join(ROOT, "migrations", "region")
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                self.sql("bench", f.read())
        self.sql("bench", "create extension pg_stat_statements")

    def answers(self):
        return subprocess.run([f"{PG_BIN}/pg_isready", "-q", "-h", self.run],
                              check=False).returncode == 0

    @property
    def url(self):
        return f"postgresql:///bench?host={urllib.parse.quote(self.run, safe='')}&user=portolan"

    def sql(self, database, text):
        """Rows of the statements, as lists of text."""
        done = subprocess.run([f"{PG_BIN}/psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v",
                               "ON_ERROR_STOP=1", "-h", self.run, "-U", "portolan", "-d", database],
                              input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines() if line]

    def count_statements(self, is_on):
        self.sql("bench", f"alter system set pg_stat_statements.track = "
                          f"{'top' if is_on else 'none'}; select pg_reload_conf()")
        self.sql("bench", "select pg_stat_statements_reset()")

    def statements(self):
        """Calls by statement text, of what ran while counting."""
        rows = self.sql("bench", "select calls, left(regexp_replace(query, '\\s+', ' ', 'g'), 90) "
                                 "from pg_stat_statements where query !~ 'pg_stat_statements' "
                                 "and query !~ 'pg_reload_conf' order by calls desc")
        return {text: int(calls) for calls, text in rows}

    def stop(self, how=signal.SIGINT):
        super().stop(how)


class DataPlane(Server):
    """A registry of its own, published and served, on a plain listener and one for the edge."""

    def __init__(self, base, postgres, name, is_sealing=True, options=()):
        super().__init__(base, name)
        self.postgres = postgres
        self.registry_id = str(uuid.uuid4())
        self.port, self.edge_port = free_port(), free_port()
        self.login_server = f"{plain_name(name)}.cr.bench.localhost"
        self.secret = secrets.token_hex(32)
        self.key_file = self.path("service.key")
        self.publish()
        with open(self.path("edge.secret"), "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(self.secret)
        os.makedirs(self.path("blobs"))
        config = {"registry-id": self.registry_id, "region": "bench", "metadata-db": postgres.url,
                  "blobs": self.path("blobs"), "service-key-file": self.key_file,
                  "listen": f"127.0.0.1:{self.port}", "edge-listen": f"127.0.0.1:{self.edge_port}",
                  "edge-secret-file": self.path("edge.secret"), "log-level": "warn",
                  "encryption": "true" if is_sealing else "false"}
        config.update(o.split("=", 1) for o in options)
        write(self.path("config"), "".join(f"{k} = {v}\n" for k, v in config.items()))
        self.spawn(os.path.join(BUILD, "dataplane", "portolan-dataplane"), "--config",
                   self.path("config"), ready=lambda: listens(self.port))
        self._tokens = {}

    def publish(self):
        made = subprocess.run([os.path.join(BUILD, "tests", "bench_registry"), self.key_file,
                               self.registry_id], check=True, text=True, capture_output=True).stdout
        facts = dict(line.split("=", 1) for line in made.splitlines())
        self.password = facts["password"]
        settings = json.dumps({"adminUserEnabled": True, "sku": "Premium"})
        self.postgres.sql("bench", f"""
            insert into registries (id, name, login_server, resource_generation, settings,
                                    wrapped_signing_key, wrapped_data_key)
            values ('{self.registry_id}', '{self.name}', '{self.login_server}', 1, '{settings}',
                    '{facts["signing_key"]}', '{facts["data_key"]}');
            insert into credentials (registry_id, username, password_name, kind, hash, permissions)
            values ('{self.registry_id}', '{self.name}', 'password', 'admin', '{facts["hash"]}',
                    '{json.dumps(ALL_PERMISSIONS)}')""")

    def header(self, scope):
        """An Authorization header line with an access token, got once."""
        if scope not in self._tokens:
            import base64
            basic = base64.b64encode(f"{self.name}:{self.password}".encode()).decode()
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            c.request("GET", "/oauth2/token?" + urllib.parse.urlencode(
                {"service": self.login_server, "scope": scope}),
                headers={"Authorization": f"Basic {basic}"})
            reply = c.getresponse()
            text = reply.read()
            assert reply.status == 200, text
            self._tokens[scope] = json.loads(text)["access_token"]
        return f"Authorization: Bearer {self._tokens[scope]}"

    def private_kib(self):
        """Private memory, decrypted content included."""
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))


class DockerRegistry(Server):
    """Debian's docker-registry as packaged, but without access log and authentication."""

    def __init__(self, base):
        super().__init__(base, "docker-registry")
        self.port = free_port()
        config = write(self.path("config.yml"), f"""version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: {self.path("data")}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{self.port}"}}
""")
        self.spawn("docker-registry", "serve", config, ready=lambda: listens(self.port),
                   env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"})

    def header(self, scope):
        del scope
        return ""


class Nginx(Server):
    """The same bytes as plain files under the same paths, by sendfile, without access log."""

    def __init__(self, base):
        super().__init__(base, "nginx")
        self.port = free_port()
        self.files = self.path("files")
        for name in ("files", "tmp"):
            os.makedirs(self.path(name))
        config = write(self.path("nginx.conf"), f"""daemon off;
{"user root;" if os.getuid() == 0 else ""}
worker_processes 2;
pid {self.path("pid")};
error_log {self.path("error.log")};
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    client_body_temp_path {self.path("tmp")};
    proxy_temp_path {self.path("tmp")};
    fastcgi_temp_path {self.path("tmp")};
    uwsgi_temp_path {self.path("tmp")};
    scgi_temp_path {self.path("tmp")};
    types {{ }}
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        root {self.files};
        default_type application/octet-stream;
        location ~ /manifests/ {{ default_type {MANIFEST_TYPE}; }}
    }}
}}
""")
        self.spawn("nginx", "-e", self.path("error.log"), "-c", config,
                   ready=lambda: listens(self.port))

    def header(self, scope):
        del scope
        return ""

    def put(self, path, content):
        target = self.files + path
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as f:
            f.write(content)


class Edge(Server):
    """HAProxy as ./dev up sets it up, one TLS port per server behind it; only data planes are told
    the client's address, by PROXY v2 with their secret."""

    def __init__(self, base, servers):
        super().__init__(base, "edge")
        self.ca = self.path("ca.crt")
        key = self.path("key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", key,
                        "-out", self.ca, "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                       check=True, capture_output=True)
        pem = write(self.path("edge.pem"), "".join(
            open(p, encoding="utf-8").read() for p in (self.ca, key)))
        self.ports = {s.name: free_port() for s in servers}
        text = """global
    log stderr format raw local0 notice
    maxconn 8000
    nbthread 2
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
    ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20
    tune.h2.max-concurrent-streams 100

defaults
    mode http
    log global
    option dontlognull
    timeout http-request 15s
    timeout http-keep-alive 75s
    timeout client 75s
    timeout connect 2s
    timeout server 300s
    timeout queue 10s
"""
        for s in servers:
            proxied = isinstance(s, DataPlane)
            text += f"""
frontend {plain_name(s.name)}
    bind 127.0.0.1:{self.ports[s.name]} ssl crt {pem} alpn h2,http/1.1
    {f"unique-id-format {s.secret}" if proxied else
     "http-request set-header X-Forwarded-Proto https"}
    default_backend {plain_name(s.name)}

backend {plain_name(s.name)}
    server one 127.0.0.1:{s.edge_port if proxied else s.port}{
        " send-proxy-v2 proxy-v2-options unique-id" if proxied else ""} pool-low-conn 1000
"""
        config = write(self.path("haproxy.cfg"), text)
        self.spawn("haproxy", "-db", "-f", config,
                   ready=lambda: all(listens(p) for p in self.ports.values()))
