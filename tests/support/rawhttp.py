"""What the attack tests are made with: raw connections to the edge and a data plane, a strict
reader of replies, a data plane's memory and stores, and tokens signed with an instance's own keys."""

import base64
import hashlib
import json
import os
import re
import socket
import ssl
import struct
import time
import uuid

import jwt
import requests
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PROXY_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
MIB = 1 << 20

# What no reply may ever show: paths of the machine, SQL, library names, stack traces.
PRIVATE = re.compile(r"/tmp/|/var/|/usr/|/home/|\.c:\d+|libpq|postgres|psql|sqlstate|syntax error|"
                     r"\bselect\b.*\bfrom\b|\binsert into\b|\brelation \"|json-c|libjwt|openssl|"
                     r"microhttpd|argon2|errno|segfault", re.I | re.S)


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def is_clean(text):
    """True when a reply gives nothing private away."""
    return not PRIVATE.search(text if isinstance(text, str) else text.decode("latin-1"))


# --- connections ----------------------------------------------------------------------------------

def proxy_v2(secret, peer="203.0.113.9", command=0x21, tlvs=None):
    """A PROXY v2 header with the edge's secret as its unique id."""
    if ":" in peer:
        family, addresses = 0x21, socket.inet_pton(socket.AF_INET6, peer) + b"\0" * 15 + b"\1"
    else:
        family, addresses = 0x11, socket.inet_aton(peer) + b"\x7f\0\0\1"
    if tlvs is None:
        tlvs = b"" if secret is None else struct.pack("!BH", 5, len(secret)) + secret
    rest = addresses + struct.pack("!HH", 40000, 443) + tlvs
    return PROXY_SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


def edge_socket(instance, host, timeout=10, alpn=None):
    """TLS to the edge, as any client would."""
    context = ssl.create_default_context(cafile=instance.ca)
    if alpn:
        context.set_alpn_protocols([alpn])
    plain = socket.create_connection(("127.0.0.1", int(instance.port)), timeout=timeout)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname=host.split(":")[0])


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return f"<{self.status} {self.body[:200]!r}>"


class Broken(Exception):
    """The peer's bytes are not a whole reply."""


class Wire:
    """One connection: sends bytes, reads replies one by one and strictly."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        """False when the peer has closed."""
        try:
            self.sock.sendall(data)
            return True
        except (ConnectionError, ssl.SSLError):
            return False

    def more(self):
        try:
            got = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError):
            got = b""
        self.buffer += got
        return bool(got)

    def line(self):
        while b"\r\n" not in self.buffer:
            if not self.more():
                raise Broken(f"the connection ended in a head: {self.buffer[:200]!r}")
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def take(self, n):
        while len(self.buffer) < n:
            if not self.more():
                raise Broken("the connection ended in a body")
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def reply(self, method="GET"):
        """The next reply, or None when the connection ended cleanly before one."""
        while not self.buffer:
            if not self.more():
                return None
        status = re.fullmatch(rb"HTTP/1\.[01] (\d\d\d)(?: .*)?", self.line())
        if not status:
            raise Broken(f"not a status line, before {self.buffer[:200]!r}")
        status, headers = int(status[1]), {}
        while line := self.line():
            name, _, value = line.partition(b":")
            headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
        if 100 <= status < 200:
            return self.reply(method)
        if method == "HEAD" or status in (204, 304):
            return Reply(status, headers, b"")
        return Reply(status, headers, self.body(headers))

    def body(self, headers):
        if headers.get("transfer-encoding") == "chunked":
            data = b""
            while size := int(self.line(), 16):
                data += self.take(size)
                self.take(2)
            self.take(2)
            return data
        return self.take(int(headers.get("content-length", "0")))

    def replies(self, quiet=0.5):
        """Every reply until the peer closes, announces it, or says nothing for a while."""
        found = []
        self.sock.settimeout(quiet)
        try:
            while (one := self.reply()) is not None:
                found.append(one)
                if one.headers.get("connection") == "close":
                    # What may still come is no reply to anybody; that it ends is checked.
                    while self.more():
                        pass
                    break
        except (TimeoutError, socket.timeout):
            pass
        return found


def at_edge(instance, host, **options):
    return Wire(edge_socket(instance, host, **options))


def ask(wire, data, method="GET"):
    wire.send(data)
    return wire.reply(method)


def basic(registry):
    return "Basic " + base64.b64encode(":".join(registry.auth).encode()).decode()


def head(registry, method, path, *lines, auth=True):
    """A request's head by hand; path and lines go out as they are."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {registry.host}",
             *([f"Authorization: {basic(registry)}"] if auth else []), *lines]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n"


# --- a registry's process and what it holds -------------------------------------------------------

class Plane:
    """The data plane of a registry of an instance."""

    def __init__(self, instance, registry):
        self.instance, self.registry = instance, registry
        self.name = instance.dataplane_of(registry.id)
        self.uid = re.search(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", self.name)[0]
        self.region = self.name.rsplit("-", 1)[1]
        with open(os.path.join(instance.service(self.name), "data", "config")) as text:
            config = dict(x.strip().split(" = ", 1) for x in text if " = " in x)
        self.port = int(config["edge-listen"].rsplit(":", 1)[1])
        self.blobs = config["blobs"]
        with open(config["edge-secret-file"], "rb") as text:
            self.secret = text.read()

    @property
    def pid(self):
        return self.instance.pid(self.name)

    def connect(self, peer="203.0.113.9", header=None, timeout=10):
        """Straight to the process, past the edge, with the edge's own PROXY header."""
        wire = Wire(socket.create_connection(("127.0.0.1", self.port), timeout=timeout))
        wire.send(proxy_v2(self.secret, peer) if header is None else header)
        return wire

    def sql(self, statement):
        return self.instance.sql(self.region, statement.replace("$id", f"'{self.uid}'"))

    def rows(self):
        """How much content the database names; equal before and after when nothing was kept."""
        return self.sql("""select (select count(*) from blobs where registry_id = $id),
            (select count(*) from manifests m join repositories r on r.id = m.repository_id
             where r.registry_id = $id),
            (select count(*) from tags t join repositories r on r.id = t.repository_id
             where r.registry_id = $id),
            (select count(*) from repository_blobs l join repositories r
             on r.id = l.repository_id where r.registry_id = $id)""")

    def files(self, folder="blobs"):
        return sorted(os.path.join(where, name) for where, _, names in
                      os.walk(os.path.join(self.blobs, folder)) for name in names)

    def check_stores_agree(self):
        """Every blob row has its file and every file its row."""
        rows = {r[0] for r in self.sql("select encode(digest, 'hex') from blobs "
                                       "where registry_id = $id")}
        files = {("02" if "/sha512/" in f else "01") + os.path.basename(f) for f in self.files()}
        assert rows == files, (rows ^ files)


def rss_anon(pid):
    """Private memory in bytes."""
    with open(f"/proc/{pid}/status") as text:
        return int(re.search(r"^RssAnon:\s+(\d+) kB", text.read(), re.M)[1]) * 1024


def is_sanitized(pid):
    with open(f"/proc/{pid}/maps") as text:
        return "asan" in text.read()


class Bounded:
    """Private memory of a process must not grow by more than `limit` bytes, while the block runs
    (samples taken by hand with look()) and after it. A sanitizer keeps freed memory in quarantine,
    so under one only its quarantine's size is allowed on top."""

    def __init__(self, pid, limit):
        self.pid = pid
        self.limit = limit + (320 * MIB if is_sanitized(pid) else 0)

    def __enter__(self):
        self.before = self.peak = rss_anon(self.pid)
        return self

    def look(self):
        self.peak = max(self.peak, rss_anon(self.pid))

    @property
    def growth(self):
        return self.peak - self.before

    def __exit__(self, kind, *_):
        if kind is None:
            self.look()
            assert self.growth <= self.limit, \
                f"{self.growth / MIB:.1f} MiB more, {self.limit / MIB:.1f} allowed"


# --- credentials and keys -------------------------------------------------------------------------

def add_token(plane, permissions, name=None, password=None, is_last=True):
    """A scoped token as the control plane publishes it. permissions: {pattern: [actions]}, or
    "catalog" for the catalog. Returns the (name, password) pair. Of several, the last one waits
    until they hold."""
    name = name or "token-" + uuid.uuid4().hex[:12]
    password = password or uuid.uuid4().hex
    salt = os.urandom(16)
    digest = hashlib.sha256(salt + password.encode()).hexdigest()
    scopes = [{"type": "registry", "name": "catalog", "actions": ["*"]} if pattern == "catalog" else
              {"type": "repository", "name": pattern, "actions": list(actions)}
              for pattern, actions in permissions.items()]
    plane.sql(f"""insert into credentials (registry_id, username, password_name, kind, hash,
        permissions) values ($id, '{name}', 'password1', 'token',
        '$sha256${salt.hex()}${digest}', '{json.dumps(scopes)}')
        on conflict (registry_id, username, password_name)
        do update set hash = excluded.hash, permissions = excluded.permissions""")
    if is_last:
        move_on(plane)
    return name, password


def move_on(plane):
    """A new generation of the projection, and the wait until the process has seen it."""
    plane.sql("update registries set generation = generation + 1 where id = $id")
    time.sleep(1.1)  # within one second everything published holds


def bearer_of(registry, user, *scopes):
    reply = call(registry, "GET", "/oauth2/token", user=user,
                 params=[("service", registry.host)] + [("scope", s) for s in scopes])
    assert reply.status_code == 200, reply.text
    return reply.json()["access_token"]


class NoSignIn(requests.auth.AuthBase):
    """Keeps what a test put into Authorization itself, and nothing else."""

    def __call__(self, request):
        return request


def call(registry, method, path, user=None, bearer=None, **options):
    """A request as somebody else, not as the admin."""
    headers = dict(options.pop("headers", None) or {})
    if bearer:
        headers["Authorization"] = "Bearer " + bearer
    url = path if path.startswith("https://") else registry.url + path
    return registry.instance.session.request(method, url, auth=user or NoSignIn(), headers=headers,
                                             timeout=60, allow_redirects=False, **options)


def unbase64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def base64url(data):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unwrap(instance, context, wrapped):
    """Opens what the service key wraps, as only the host's owner can."""
    with open(os.path.join(instance.state, "keys", "service.key")) as text:
        key = bytes.fromhex(text.read().strip())
    box = unbase64(wrapped)
    return AESGCM(key).decrypt(box[1:13], box[13:], box[:1] + context.encode())


class Signer:
    """Signs tokens with a real key of the instance, so that a test which expects a refusal cannot
    be satisfied by a bad signature."""

    def __init__(self, pem, kid):
        self.pem, self.kid = pem, kid

    @classmethod
    def of_registry(cls, plane):
        wrapped = plane.sql("select wrapped_signing_key from registries where id = $id")[0][0]
        pem = unwrap(plane.instance, f"registry/{plane.uid}/signing-key", wrapped)
        return cls(pem, None)

    @classmethod
    def of_directory(cls, instance):
        kid, wrapped = instance.sql("control", "select kid, wrapped_private from signing_keys "
                                    "order by created_at desc limit 1")[0]
        return cls(unwrap(instance, f"signing-key/{kid}", wrapped), kid)

    def sign(self, claims, algorithm="ES256", key=None, **header):
        return jwt.encode(claims, key or self.pem, algorithm=algorithm,
                          headers={"kid": self.kid, **header})


def read_token(token):
    """Header and claims, unverified."""
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
