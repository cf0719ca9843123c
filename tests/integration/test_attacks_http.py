"""Attacks on the transport: requests that two parsers read differently, slow and greedy clients,
HTTP/2 floods, forged client addresses, and what reaches the log. Numbered by the past hole."""

import concurrent.futures
import contextlib
import json
import os
import re
import resource
import socket
import statistics
import struct
import subprocess
import time
import uuid

import pytest

from support.instance import eventually
from support.rawhttp import (MIB, Bounded, Broken, Plane, Wire, ask, at_edge, basic, call,
                             edge_socket, head, is_clean, proxy_v2, rss_anon, sha256)

pytestmark = pytest.mark.sanitized


@pytest.fixture(scope="module")
def target(instance):
    group = instance.make_group()
    yield instance.make_registry(group, sku="Premium")
    instance.arm("DELETE", instance.group_id(group), api="2024-11-01")


@pytest.fixture(scope="module")
def plane(instance, target):
    target.push_image("base", "v1")
    return Plane(instance, target)


class Log:
    """What the instance logs from now on."""

    def __init__(self, instance):
        self.path = os.path.join(instance.state, "log", "current")
        self.file = open(self.path, "rb")
        self.file.seek(0, os.SEEK_END)
        self.data = b""

    def text(self):
        self.data += self.file.read()
        if os.stat(self.path).st_ino != os.fstat(self.file.fileno()).st_ino:  # it was rotated
            self.data += self.file.read()
            self.file.close()
            self.file = open(self.path, "rb")
            self.data += self.file.read()
        return self.data

    def lines(self, marker):
        """The request lines that hold the marker."""
        return [line for line in self.text().split(b"\n")
                if b"event=request" in line and marker.encode() in line]

    def flushed(self, instance, target):
        """Waits until a request made now is in the log, so that all before it is as well."""
        mark = f"m{uuid.uuid4().hex}"
        assert target.call("GET", f"/v2/{mark}/tags/list").status_code == 404
        eventually(lambda: self.lines(mark))


@pytest.fixture
def log(instance):
    it = Log(instance)
    yield it
    it.file.close()


# --- 40: one request in, one request out ----------------------------------------------------------

def outer(*lines, method="POST", version="HTTP/1.1"):
    """A request's head with placeholders for path, host and sign-in."""
    return "\r\n".join([f"{method} /v2/%(outer)s/blobs/uploads/ {version}", "Host: %(host)s",
                        "Authorization: %(auth)s", *lines]) + "\r\n\r\n"


HIDDEN = "GET /v2/%(hidden)s/tags/list HTTP/1.1\r\nHost: %(host)s\r\nAuthorization: %(auth)s\r\n\r\n"
LENGTH = len(HIDDEN)  # of the template; near enough for a length that must not be believed

SMUGGLED = {
    "length and chunked": outer("Content-Length: 4", "Transfer-Encoding: chunked") + "0\r\n\r\n" +
    HIDDEN,
    "chunked and length": outer("Transfer-Encoding: chunked", "Content-Length: 6") +
    "0\r\n\r\n" + HIDDEN,
    "two lengths": outer("Content-Length: 0", f"Content-Length: {LENGTH}") + HIDDEN,
    "two equal lengths": outer("Content-Length: 0", "Content-Length: 0") + HIDDEN,
    "a list of lengths": outer("Content-Length: 0, 0") + HIDDEN,
    "a signed length": outer("Content-Length: +0") + HIDDEN,
    "a negative length": outer("Content-Length: -1") + HIDDEN,
    "a hexadecimal length": outer("Content-Length: 0x0") + HIDDEN,
    "a length with an exponent": outer("Content-Length: 0e1") + HIDDEN,
    "a length past 64 bits": outer("Content-Length: 18446744073709551616") + HIDDEN,
    "the largest length": outer("Content-Length: 18446744073709551615") + HIDDEN,
    "an empty length": outer("Content-Length:") + HIDDEN,
    "a length with a space inside": outer("Content-Length: 0 0") + HIDDEN,
    "a space before the colon": outer("Content-Length : 0") + HIDDEN,
    "unknown coding": outer("Transfer-Encoding: xchunked") + "0\r\n\r\n" + HIDDEN,
    "identity": outer("Transfer-Encoding: identity") + HIDDEN,
    "chunked not last": outer("Transfer-Encoding: chunked, identity") + "0\r\n\r\n" + HIDDEN,
    "chunked twice": outer("Transfer-Encoding: chunked, chunked") + "0\r\n\r\n" + HIDDEN,
    "two codings": outer("Transfer-Encoding: chunked", "Transfer-Encoding: identity") +
    "0\r\n\r\n" + HIDDEN,
    "a coding behind a vertical tab": outer("Transfer-Encoding: \x0bchunked") + "0\r\n\r\n" + HIDDEN,
    "a coding with a space before the colon": outer("Transfer-Encoding : chunked",
                                                    "Content-Length: 5") + "0\r\n\r\n" + HIDDEN,
    "a quoted coding": outer('Transfer-Encoding: "chunked"') + "0\r\n\r\n" + HIDDEN,
    "chunked in HTTP/1.0": outer("Transfer-Encoding: chunked", version="HTTP/1.0") +
    "0\r\n\r\n" + HIDDEN,
    "a folded coding": outer("Transfer-Encoding:\r\n chunked") + "0\r\n\r\n" + HIDDEN,
    "a folded header": outer("X-Long: a\r\n\tb", "Content-Length: 0") + HIDDEN,
    "a fold first": outer("Content-Length: 0").replace("\r\nHost", "\r\n X: y\r\nHost", 1) + HIDDEN,
    "bare LF in the head": outer("Content-Length: 0").replace("\r\nHost", "\nHost") + HIDDEN,
    "bare LF everywhere": outer("Content-Length: 0").replace("\r\n", "\n") + HIDDEN,
    "bare LF hides a length": outer("X: y\nContent-Length: 0", f"Content-Length: {LENGTH}") + HIDDEN,
    "bare CR hides a header": outer("X: y\rContent-Length: 0", "Content-Length: 0") + HIDDEN,
    "CR CR LF": outer("Content-Length: 0\r") + HIDDEN,
    "NUL in a value": outer("X: a\0b", "Content-Length: 0") + HIDDEN,
    "NUL in a name": outer("X\0Y: b", "Content-Length: 0") + HIDDEN,
    "no colon": outer("Nonsense", "Content-Length: 0") + HIDDEN,
    "no name": outer(": nonsense", "Content-Length: 0") + HIDDEN,
    "two hosts": outer("Host: evil.example", "Content-Length: 0") + HIDDEN,
    "a chunk size in hexadecimal notation": outer("Transfer-Encoding: chunked") +
    "0x0\r\n\r\n" + HIDDEN,
    "a negative chunk": outer("Transfer-Encoding: chunked") + "-1\r\n\r\n" + HIDDEN,
    "a chunk past 64 bits": outer("Transfer-Encoding: chunked") + "10000000000000000\r\n\r\n" + HIDDEN,
    "a chunk longer than told": outer("Transfer-Encoding: chunked") + "1\r\nxx\r\n0\r\n\r\n" + HIDDEN,
    "a chunk with bare LF": outer("Transfer-Encoding: chunked") + "1\nx\n0\n\n" + HIDDEN,
    "a chunk size with spaces inside": outer("Transfer-Encoding: chunked") + "0 0\r\n\r\n" + HIDDEN,
    "a chunk extension with LF": outer("Transfer-Encoding: chunked") + "0;\nx\r\n\r\n" + HIDDEN,
    "an unknown version": outer("Content-Length: 0", version="HTTP/3.7") + HIDDEN,
    "a version with junk": outer("Content-Length: 0", version="HTTP/1.1x") + HIDDEN,
}
# RFC 9112 section 2.2 lets a reader take a bare LF for the end of a line. In a chunk's line
# libmicrohttpd does; the edge, which writes chunks anew, does not pass it on.
READ_LENIENTLY = {"a chunk with bare LF"}


def fill_in(text, target, marks):
    return (text % {**marks, "host": target.host, "auth": basic(target)}).encode("latin-1")


@pytest.mark.parametrize("case", SMUGGLED)
def test_40_smuggled_requests(instance, target, plane, log, case):
    """Straight at the process nothing of a doubtful request is served, and the connection ends with
    it. Through the edge, a client gets an answer to each request that reached the process."""
    for way in ("direct", "edge"):
        marks = {"outer": f"o{uuid.uuid4().hex}", "hidden": f"h{uuid.uuid4().hex}"}
        with plane.connect() if way == "direct" else at_edge(instance, target.host) as wire:
            wire.send(fill_in(SMUGGLED[case], target, marks))
            try:
                replies = wire.replies()
            except Broken as problem:
                raise AssertionError(f"{way}: {problem}") from problem
        log.flushed(instance, target)
        inside = len(log.lines(marks["outer"])), len(log.lines(marks["hidden"]))
        if way == "direct" and case not in READ_LENIENTLY:
            assert inside[1] == 0, (case, replies)
            assert [r.status for r in replies] in ([400], [413], [505], []), (case, replies)
        else:
            assert len(replies) <= 2 and sum(inside) <= len(replies), (case, inside, replies)
            assert inside[1] == 0 or len(replies) == 2
        assert all(is_clean(r.body) for r in replies)
        # The queue behind the edge is not poisoned: the next client gets its own answer.
        mine = f"n{uuid.uuid4().hex}"
        reply = target.call("GET", f"/v2/{mine}/tags/list")
        assert reply.status_code == 404 and mine in reply.text


def test_40_what_is_well_formed_is_served(instance, target, plane, log):
    """The refusals above are not because everything is refused."""
    for open_wire in (plane.connect, lambda: at_edge(instance, target.host)):
        with open_wire() as wire:
            wire.send(head(target, "POST", "/v2/base/blobs/uploads/", "Transfer-Encoding: chunked") +
                      b"2;ext=1\r\n{}\r\n0\r\n\r\n" +
                      head(target, "POST", "/v2/base/blobs/uploads/", "Content-Length: 2") + b"{}" +
                      head(target, "GET", "/v2/", "X-Empty:") + head(target, "GET", "/v2/"))
            assert [wire.reply().status for _ in range(4)] == [202, 202, 200, 200]


def test_40_pipelined_refusal_ends_the_connection(target, plane, log, instance):
    """After a bad request nothing on that connection is read as a request again."""
    hidden = f"h{uuid.uuid4().hex}"
    with plane.connect() as wire:
        wire.send(head(target, "GET", "/v2/") + head(target, "GET", "/v2/", "Content-Length: x") +
                  head(target, "GET", f"/v2/{hidden}/tags/list"))
        assert [r.status for r in wire.replies()] == [200, 400]
    log.flushed(instance, target)
    assert not log.lines(hidden)


def test_40_large_heads(instance, target, plane):
    with Bounded(plane.pid, 8 * MIB) as memory:
        for open_wire in (plane.connect, lambda: at_edge(instance, target.host)):
            for lines in (["X-Big: " + "x" * 100_000], [f"X-{i}: y" for i in range(5_000)],
                          ["Cookie: " + "a=b; " * 20_000]):
                with open_wire() as wire:
                    wire.send(head(target, "GET", "/v2/", *lines))
                    assert all(r.status in (400, 413, 414, 431) for r in wire.replies())
            with open_wire() as wire:
                wire.send(head(target, "GET", "/v2/" + "a" * 60_000))
                assert all(r.status in (400, 413, 414, 431) for r in wire.replies())
            memory.look()
    assert target.call("GET", "/v2/").status_code == 200


# --- 41: slow and greedy clients ------------------------------------------------------------------

@contextlib.contextmanager
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10_000), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def timed(target, count):
    took = []
    for _ in range(count):
        start = time.monotonic()
        reply = target.call("GET", "/v2/base/manifests/v1")
        took.append((time.monotonic() - start) * 1000)
        assert reply.status_code == 200
    took.sort()
    return f"p50 {statistics.median(took):.1f} ms, p99 {took[int(len(took) * 0.99)]:.1f} ms"


def test_41_idle_connections(instance, target, plane, tell):
    """1,000 half heads at the edge and 1,000 at the process: others are served, memory is bounded
    and comes back."""
    before = timed(target, 100)
    half = head(target, "GET", "/v2/")[:-2] + b"X-Slow: "
    with many_descriptors(), contextlib.ExitStack() as stack, \
            Bounded(plane.pid, 80 * MIB) as memory, Bounded(instance.pid("edge"), 160 * MIB):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            wires = list(pool.map(lambda _: at_edge(instance, target.host, timeout=30), range(1000)))
            wires += list(pool.map(lambda _: plane.connect(timeout=30), range(1000)))
        for wire in wires:
            stack.enter_context(wire)
            assert wire.send(half)
        during = timed(target, 100)
        for wire in wires[::2]:
            wire.send(b"x")
        memory.look()
        assert target.push_image("base", "slow")
        # Those that finish their request are served like anyone.
        for wire in (wires[0], wires[-1]):
            assert ask(wire, b"x\r\n\r\n").status == 200
        held = rss_anon(plane.pid)
    eventually(lambda: rss_anon(plane.pid) < held - 16 * MIB or
               rss_anon(plane.pid) < memory.before + 16 * MIB, timeout=20)
    tell(f"alone: {before}; with 2,000 idle connections: {during}; "
         f"{memory.growth / MIB:.0f} MiB for them")


def test_41_connections_that_never_speak(plane, target):
    """Past the edge a connection has 5 s for its PROXY header."""
    with many_descriptors(), contextlib.ExitStack() as stack, Bounded(plane.pid, 16 * MIB):
        silent = [stack.enter_context(plane.connect(header=b"", timeout=15)) for _ in range(200)]
        partial = [stack.enter_context(plane.connect(header=proxy_v2(plane.secret)[:20], timeout=15))
                   for _ in range(200)]
        assert target.call("GET", "/v2/").status_code == 200
        for wire in silent + partial:
            assert not wire.more()


def test_41_slow_bodies(instance, target, plane):
    """Uploads that trickle hold no worker: as many as there may be do not stop others."""
    before = plane.files("tmp")
    with contextlib.ExitStack() as stack, Bounded(plane.pid, 80 * MIB):
        for n in range(100):
            wire = stack.enter_context(plane.connect() if n % 2 else at_edge(instance, target.host))
            wire.send(head(target, "POST", f"/v2/slow/blobs/uploads/?digest={sha256(b'x' * 100)}",
                           "Content-Length: 100") + b"x")
            if n % 10 == 0:
                wire.send(b"x")
        for n in range(20):
            assert target.push_blob("base", uuid.uuid4().bytes)[0].status_code == 201
        assert target.call("GET", "/v2/base/manifests/v1").status_code == 200
    # What they began is gone with them.
    eventually(lambda: plane.files("tmp") == before)
    assert plane.sql("select count(*) from repositories where registry_id = $id "
                     "and name = 'slow'") == [["0"]]


def test_41_slow_readers(target, plane):
    """Clients that ask for much and read nothing do not make it pile up in memory."""
    reply, digest = target.push_blob("base", os.urandom(1 << 20) * 24)
    assert reply.status_code == 201
    with contextlib.ExitStack() as stack, Bounded(plane.pid, 120 * MIB) as memory:
        for _ in range(100):
            wire = stack.enter_context(plane.connect())
            wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.send(head(target, "GET", f"/v2/base/blobs/{digest}"))
        for _ in range(50):
            assert target.call("GET", "/v2/base/manifests/v1").status_code == 200
            memory.look()
        assert len(target.call("GET", f"/v2/base/blobs/{digest}").content) == 24 << 20


# --- 42: HTTP/2 floods ----------------------------------------------------------------------------

def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def number(value, bits, first):
    """An HPACK integer (RFC 7541 section 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = bytes([first | limit]), value - limit
    while value >= 128:
        out, value = out + bytes([value % 128 + 128]), value // 128
    return out + bytes([value])


def field(name, value, is_kept=False):
    name, value = name.encode("latin-1"), value.encode("latin-1")
    return bytes([0x40 if is_kept else 0]) + number(len(name), 7, 0) + name + \
        number(len(value), 7, 0) + value


def h2_request(target, path, *more, method="GET"):
    return b"".join(field(*pair) for pair in ((":method", method), (":scheme", "https"),
                                              (":authority", target.host), (":path", path),
                                              ("authorization", basic(target)), *more))


class H2:
    """A connection that speaks HTTP/2 by hand."""

    def __init__(self, instance, target):
        self.wire = Wire(edge_socket(instance, target.host, alpn="h2", timeout=20))
        assert self.wire.sock.selected_alpn_protocol() == "h2"
        self.wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.sock.close()

    def send(self, *parts):
        return self.wire.send(b"".join(parts))

    def frame(self):
        try:
            start = self.wire.take(9)
            length, kind = struct.unpack("!I", b"\0" + start[:3])[0], start[3]
            stream = struct.unpack("!I", start[5:])[0]
            return kind, start[4], stream, self.wire.take(length)
        except (Broken, TimeoutError, socket.timeout):
            return None

    def outcome(self, stream):
        """("status", code), ("reset", code) or ("closed", code) for a stream."""
        while (got := self.frame()) is not None:
            kind, flags, on, payload = got
            if kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK, 0))
            if kind == GOAWAY:
                return "closed", struct.unpack("!I", payload[4:8])[0]
            if kind == RESET and on == stream:
                return "reset", struct.unpack("!I", payload)[0]
            if kind == HEADERS and on == stream:
                return "status", h2_status(payload)
        return "closed", None


def h2_status(block):
    """The status of a reply's header block: indexed, or a literal with an indexed name."""
    known = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
    at = 0
    while block[at] & 0xe0 == 0x20:  # a change of the table's size
        at += 1
    if block[at] & 0x80:
        return known[block[at] & 0x7f]
    text = re.search(rb"\d\d\d", block[at:at + 12])
    return int(text[0]) if text else 0


def is_served(instance, target):
    with H2(instance, target) as h2:
        h2.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, h2_request(target, "/v2/")))
        assert h2.outcome(1) == ("status", 200)
    assert target.call("GET", "/v2/base/manifests/v1").status_code == 200


def test_42_rapid_reset(instance, target, plane):
    is_served(instance, target)
    block = h2_request(target, "/v2/_catalog")
    with Bounded(instance.pid("edge"), 64 * MIB), Bounded(plane.pid, 32 * MIB):
        for _ in range(3):
            with H2(instance, target) as h2:
                for stream in range(1, 6000, 2):
                    if not h2.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, block),
                                   frame(RESET, 0, stream, struct.pack("!I", 8))):
                        break
        is_served(instance, target)
    assert instance.pid("edge") > 0


def test_42_continuation_flood(instance, target, plane):
    edge = instance.pid("edge")
    with Bounded(edge, 32 * MIB), H2(instance, target) as h2:
        h2.send(frame(HEADERS, END_STREAM, 1, h2_request(target, "/v2/")))
        sent, piece = 0, field("x-flood", "y" * 16_000)
        while sent < 64 * MIB and h2.send(frame(CONTINUATION, 0, 1, piece)):
            sent += len(piece)
        assert sent < 64 * MIB, "a head without end was taken"
    assert instance.pid("edge") == edge
    is_served(instance, target)


def test_42_empty_continuation_flood(instance, target, plane):
    edge = instance.pid("edge")
    with Bounded(edge, 32 * MIB), H2(instance, target) as h2:
        h2.send(frame(HEADERS, END_STREAM, 1, b""))
        for _ in range(2_000):
            if not h2.send(frame(CONTINUATION, 0, 1) * 100):
                break
    assert instance.pid("edge") == edge
    is_served(instance, target)


def test_42_header_bomb(instance, target, plane):
    """A few bytes that name a long header of the table again and again."""
    with Bounded(instance.pid("edge"), 32 * MIB), Bounded(plane.pid, 8 * MIB):
        with H2(instance, target) as h2:
            bomb = field("x-long", "y" * 3_900, is_kept=True) + b"\xbe" * 12_000
            h2.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, h2_request(target, "/v2/") + bomb))
            what, status = h2.outcome(1)
            assert what in ("reset", "closed") or status in (400, 431), (what, status)
        is_served(instance, target)


def test_42_control_frame_floods(instance, target, plane):
    with Bounded(instance.pid("edge"), 32 * MIB):
        for flood in (frame(PING, 0, 0, b"12345678"), frame(SETTINGS, 0, 0)):
            with H2(instance, target) as h2:
                h2.wire.sock.settimeout(3)
                with contextlib.suppress(TimeoutError, socket.timeout):
                    for _ in range(200):
                        if not h2.wire.send(flood * 100):
                            break
        is_served(instance, target)


H2_SMUGGLED = {
    "CR LF in a value": [("x", "a\r\nGET /v2/%s/tags/list HTTP/1.1\r\nHost: y")],
    "LF in a value": [("x", "a\nX-Injected: %s")],
    "NUL in a value": [("x", "a\0%s")],
    "CR LF in a name": [("x: y\r\nz-%s", "a")],
    "a coding": [("transfer-encoding", "chunked")],
    "two lengths": [("content-length", "0"), ("content-length", "5")],
    "an upper-case name": [("X-Upper", "%s")],
    "a connection header": [("connection", "upgrade")],
    "a late pseudo header": [("x", "y"), (":path", "/v2/%s/tags/list")],
    "a colon in a name": [("x:y", "%s")],
}


@pytest.mark.parametrize("case", H2_SMUGGLED)
def test_40_smuggled_through_h2(instance, target, plane, log, case):
    mark = f"h{uuid.uuid4().hex}"
    more = [tuple(part.replace("%s", mark) for part in pair) for pair in H2_SMUGGLED[case]]
    path = f"/v2/o{mark}/tags/list"
    with H2(instance, target) as h2:
        h2.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, h2_request(target, path, *more)))
        what, status = h2.outcome(1)
    assert what in ("reset", "closed") or status == 400, (case, what, status)
    log.flushed(instance, target)
    assert not log.lines(mark), case


def test_40_a_body_shorter_than_told_through_h2(instance, target, plane):
    """Whatever the edge makes of it, no other request's bytes become its body."""
    begun = target.call("POST", "/v2/base/blobs/uploads/").headers["Location"]
    for method, path in (("PATCH", begun), ("GET", "/v2/"), ("POST", "/v2/base/blobs/uploads/")):
        with H2(instance, target) as h2:
            h2.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, h2_request(
                target, path, ("content-length", "500"), method=method)))
            is_served(instance, target)
            h2.outcome(1)
        is_served(instance, target)
    state = target.call("GET", begun)
    assert state.status_code == 204 and state.headers["Range"] == "0-0"


@pytest.mark.parametrize("path", ["/v2/ HTTP/1.1\r\nX: y\r\n\r\nGET /v2/", "/v2/a b", "/v2/\0", "",
                                  "v2/", "*", "//v2/_catalog#x"])
def test_40_paths_through_h2(instance, target, path):
    with H2(instance, target) as h2:
        h2.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, h2_request(target, path)))
        what, status = h2.outcome(1)
    assert what in ("reset", "closed") or status in (400, 404), (path, what, status)


# --- 43: forged client addresses ------------------------------------------------------------------

def peers(log, mark):
    return [re.search(rb" peer=(\S+)", line)[1].decode() for line in log.lines(mark)]


def test_43_address_headers_are_nothing(instance, target, plane, log):
    mark = f"p{uuid.uuid4().hex}"
    lines = ["X-Forwarded-For: 198.51.100.66", "X-Real-IP: 198.51.100.66",
             "Forwarded: for=198.51.100.66", "True-Client-IP: 198.51.100.66",
             "X-Client-IP: 198.51.100.66", "CF-Connecting-IP: 198.51.100.66",
             "X-Azure-ClientIP: 198.51.100.66", "Via: 1.1 198.51.100.66"]
    with at_edge(instance, target.host) as wire:
        assert ask(wire, head(target, "GET", f"/v2/{mark}/tags/list", *lines)).status == 404
    with plane.connect(peer="203.0.113.9") as wire:
        assert ask(wire, head(target, "GET", f"/v2/{mark}/tags/list", *lines)).status == 404
    log.flushed(instance, target)
    assert peers(log, mark) == ["127.0.0.1", "203.0.113.9"]
    assert b"198.51.100.66" not in log.text()


def test_43_proxy_headers_of_clients(instance, target, plane, log):
    """A client's own PROXY header is refused before, within and after TLS."""
    mark = f"p{uuid.uuid4().hex}"
    forged = [b"PROXY TCP4 198.51.100.66 127.0.0.1 1 2\r\n", proxy_v2(None, "198.51.100.66"),
              proxy_v2(b"guess", "198.51.100.66"), proxy_v2(plane.secret, "198.51.100.66")]
    request = head(target, "GET", f"/v2/{mark}/tags/list")
    for header in forged:
        with at_edge(instance, target.host) as wire:
            wire.send(header + request)
            assert all(r.status == 400 for r in wire.replies())
        with at_edge(instance, target.host) as wire:  # in the middle of a connection
            wire.send(head(target, "GET", "/v2/") + header + request)
            assert [r.status for r in wire.replies()] in ([200, 400], [200])
        with Wire(socket.create_connection(("127.0.0.1", int(instance.port)), 10)) as wire:
            wire.send(header + b"\x16\x03\x01\0\x10" + b"\0" * 16)
            while wire.more():
                assert b"HTTP" not in wire.buffer
        with plane.connect() as wire:  # a second one, behind the edge's own
            wire.send(header + request)
            assert all(r.status == 400 for r in wire.replies())
    log.flushed(instance, target)
    assert not log.lines(mark) and b"peer=198.51.100.66" not in log.text()


def tlv(value):
    return struct.pack("!BH", 5, len(value)) + value


def refused_headers(secret):
    good = proxy_v2(secret)
    yield "none", b""
    yield "version 1", b"PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n"
    yield "no secret", proxy_v2(None)
    yield "an empty secret", proxy_v2(b"")
    yield "a wrong secret", proxy_v2(b"x" * len(secret))
    yield "the start of the secret", proxy_v2(secret[:-1])
    yield "the secret but its first byte", proxy_v2(secret[1:])
    yield "the secret behind something", proxy_v2(b"x" + secret)
    yield "the secret in other case", proxy_v2(secret.swapcase())
    yield "a link id with a newline", proxy_v2(secret + b"a\nb")
    yield "local without the secret", proxy_v2(None, command=0x20)
    yield "an unknown command", proxy_v2(secret, command=0x2f)
    yield "version 3", proxy_v2(secret, command=0x31)
    yield "two secrets", proxy_v2(secret, tlvs=tlv(secret) + tlv(b"x"))
    yield "a TLV past the end", proxy_v2(secret, tlvs=tlv(secret) + b"\x04\xff\xff")
    yield "a wrong checksum", proxy_v2(secret, tlvs=tlv(secret) + b"\x03\0\x04abcd")
    yield "an unknown family", good[:13] + b"\x41" + good[14:]
    yield "65535 bytes", good[:14] + b"\xff\xff" + good[16:] + b"\0" * 65535
    yield "a wrong signature", b"\r\n\r\n\0\r\nQUIT\r" + good[12:]


def test_43_only_the_edge_gets_in(instance, target, plane, log):
    """Who does not bring the edge's secret is not answered at all."""
    mark = f"p{uuid.uuid4().hex}"
    request = head(target, "GET", f"/v2/{mark}/tags/list")

    def silence(open_socket, header):
        with Wire(open_socket()) as wire:
            wire.sock.settimeout(10)
            wire.send(header + request)
            with contextlib.suppress(OSError):
                wire.sock.shutdown(socket.SHUT_WR)
            while wire.more():
                pass
            assert wire.buffer == b"", (header[:40], wire.buffer[:200])

    def tcp():
        return socket.create_connection(("127.0.0.1", plane.port), 10)

    def at_unix(name):
        it = socket.socket(socket.AF_UNIX)
        it.connect(os.path.join(instance.state, "run", name))
        return it
    for _, header in refused_headers(plane.secret):
        silence(tcp, header)
        for name in ("management.sock", "login.sock"):
            silence(lambda: at_unix(name), header)
    log.flushed(instance, target)
    assert not log.lines(mark)
    with plane.connect() as wire:
        assert ask(wire, request).status == 404


def test_43_mapped_addresses_are_v4(instance, target, plane, log):
    mark = f"p{uuid.uuid4().hex}"
    for peer in ("::ffff:198.51.100.7", "198.51.100.7", "2001:db8::7"):
        with plane.connect(peer=peer) as wire:
            assert ask(wire, head(target, "GET", f"/v2/{mark}/tags/list")).status == 404
    log.flushed(instance, target)
    assert peers(log, mark) == ["198.51.100.7", "198.51.100.7", "2001:db8::7"]


# --- 44: the log, and where secrets must not be ---------------------------------------------------

PAIR = re.compile(rb'[a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s"=]\S*)')


def test_44_one_line_for_each_request(instance, target, plane, log):
    evil = ["%0d%0atime=2020-01-01T00:00:00.000Z%20level=info%20event=forged", "%1b[31mred%1b[0m",
            "%22%20status=200%20x=%22", "a%09b", "%e2%80%ae%e2%80%a8", "%7f", "%c2%9b31m", "a=b c=d",
            "\"", "'", "\\\\n", "%0a", "x" * 4000]
    mark = f"l{uuid.uuid4().hex}"
    for text in evil:
        for where in (f"/v2/{mark}{text}/tags/list", f"/v2/a/manifests/{mark}{text}",
                      f"/v2/a/tags/list?{mark}={text}", f"/{mark}{text}"):
            where = where.replace(" ", "%20")
            with plane.connect() as wire:
                got = ask(wire, head(target, "GET", where, f"User-Agent: {mark}\x1b[31m{text[:2000]}"))
                assert got is None or got.status in (200, 400, 404), (where, got)
            with plane.connect() as wire:
                got = ask(wire, head(target, "GET", where))
                assert got is not None and got.status in (200, 400, 404), (where, got)
            reply = instance.arm("GET", where.replace("/v2", instance.group_id("x")), api="2021-04-01")
            assert reply.status_code >= 400
    log.flushed(instance, target)
    text = log.text()
    assert b"event=forged" not in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", text)
    lines = [line for line in text.split(b"\n") if mark.encode() in line]
    assert len(lines) >= len(evil) * 3
    for line in lines:
        assert not re.search(rb"[\x00-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]", line), line
        pairs = line.split(b" ", 2)[2].strip()
        assert re.fullmatch(rb"(?:" + PAIR.pattern + rb"(?: |$|(?=\.\.\.)))+\S*", pairs), line[:600]


def test_44_secrets_are_nowhere(instance, target, plane):
    """No password, token or key in logs, audit rows, command lines or environments."""
    reply = instance.arm("POST", f"{target.id}/listCredentials").json()
    access = target.access_token("repository:base:pull")
    with open(os.path.join(instance.state, "keys", "service.key")) as text:
        service_key = text.read().strip()
    secrets = [p["value"] for p in reply["passwords"]] + [
        access, instance.token(), instance.env["AZURE_CLIENT_SECRET"], service_key,
        plane.secret.decode(), basic(target).split()[1]]
    # Where people put secrets by mistake.
    mark = "canary" + uuid.uuid4().hex
    instance.session.post(f"{instance.login}/{instance.tenant}/oauth2/v2.0/token", data={
        "grant_type": "client_credentials", "client_id": str(uuid.uuid4()), "client_secret": mark,
        "scope": f"{instance.management}/.default"})
    call(target, "GET", "/v2/", user=(target.name, mark))
    call(target, "GET", "/v2/", bearer=mark)
    call(target, "POST", "/oauth2/token", data={"grant_type": "refresh_token", "service": target.host,
                                                "refresh_token": mark})
    call(target, "POST", "/oauth2/exchange", data={"grant_type": "access_token", "access_token": mark,
                                                   "service": target.host})
    instance.arm("GET", target.id, token=mark)
    secrets.append(mark)
    Log(instance).flushed(instance, target)
    texts = {"log": instance.log_text(), "events": json.dumps(instance.sql(
        "control", "select e::text from events e")), "operations": json.dumps(instance.sql(
            "control", "select o::text from operations o"))}
    for name in ("commands", "environments"):
        texts[name] = ""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            is_ours = instance.state in os.readlink(f"/proc/{pid}/exe") or \
                instance.state.encode() in open(f"/proc/{pid}/cmdline", "rb").read()
            for name, file in (("commands", "cmdline"), ("environments", "environ")):
                if is_ours and int(pid) != os.getpid():
                    texts[name] += open(f"/proc/{pid}/{file}", "rb").read().decode("latin-1")
        except OSError:
            continue
    assert "portolan-dataplane" in texts["commands"]
    for where, text in texts.items():
        for secret in secrets:
            assert secret not in text, (where, text[max(0, text.find(secret) - 80):][:60])


def test_44_files_of_secrets_are_the_service_users(instance):
    """Whoever has another account on the machine reads no secret and reaches no back door."""
    for name in ("keys/service.key", "keys/edge.secret", "keys/ca.key", "tls/edge.pem", "secrets.env",
                 "config", "edge/haproxy.cfg"):
        assert os.stat(os.path.join(instance.state, name)).st_mode & 0o077 == 0, name
    for name in ("run", "pg/run", "edge", "keys", "log", "regions"):
        assert os.stat(os.path.join(instance.state, name)).st_mode & 0o077 == 0, name
    if os.getuid() == 0:
        script = (f"for f in keys/service.key secrets.env run/management.sock pg/run/.s.PGSQL.5432 "
                  f"regions/eastus log/current; do test -r {instance.state}/$f && echo $f; done; true")
        seen = subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh",
                               "-c", script], text=True, capture_output=True, check=True)
        assert seen.stdout == ""


def test_44_no_memory_images(instance, plane):
    """A crash leaves no file with keys in it."""
    for name in (plane.name, "controlplane"):
        with open(f"/proc/{instance.pid(name)}/limits") as text:
            limit = re.search(r"Max core file size\s+(\S+)", text.read())[1]
        assert limit == "0", name
