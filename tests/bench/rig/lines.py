"""Many keep-alive connections looked after by one thread, and what the processes of an instance used
meanwhile. Requests are bytes made beforehand and of a reply little more than its status is read, so that
the client takes the smallest share of the processors that it shares with what it measures."""

import heapq
import os
import re
import selectors
import socket
import ssl
import time

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
TICKS = os.sysconf("SC_CLK_TCK")


class Line:
    """One connection with TLS, open from the start; one request at a time."""

    def __init__(self, lines, host, port):
        self.lines, self.host = lines, host
        plain = socket.create_connection(("127.0.0.1", port), timeout=60)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = lines.tls.wrap_socket(plain, server_hostname=host.partition(":")[0])
        self.socket.setblocking(False)
        self.got, self.tell = b"", None
        lines.selector.register(self.socket, selectors.EVENT_READ, self)

    def request(self, method, path, *headers, body=b""):
        head = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *headers]
        if body:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body

    def ask(self, request, tell):
        """tell(status, head and body) is called with the reply."""
        assert self.tell is None, f"{self.host} is asked already"
        self.tell = tell
        assert self.socket.send(request) == len(request)

    def read(self):
        try:
            while True:
                part = self.socket.recv(65536)
                assert part, f"{self.host} closed the connection: {self.got[:200]}"
                self.got += part
        except ssl.SSLWantReadError:
            pass
        end = self.got.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LENGTH.search(self.got, 0, end)
        if len(self.got) < end + 4 + (int(length[1]) if length else 0):
            return
        reply, tell = self.got, self.tell
        self.got, self.tell = b"", None
        tell(int(reply[9:12]), reply)


class Lines:
    def __init__(self, ca):
        self.tls = ssl.create_default_context(cafile=ca)
        self.selector = selectors.DefaultSelector()
        self.due, self.turn = [], 0

    def open(self, host, port):
        return Line(self, host, port)

    def later(self, at, act):
        """act() at that time of time.perf_counter()."""
        self.turn += 1
        heapq.heappush(self.due, (at, self.turn, act))

    def run(self, is_over, timeout):
        until = time.perf_counter() + timeout
        while not is_over():
            now = time.perf_counter()
            assert now < until, f"not over after {timeout} s"
            while self.due and self.due[0][0] <= now:
                heapq.heappop(self.due)[2]()
            pause = max(0, self.due[0][0] - time.perf_counter()) if self.due else 0.1
            for key, _ in self.selector.select(pause):
                key.data.read()

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.data.socket.close()
        self.selector.close()


def stat_of(pid):
    """(name, parent, seconds of processor time, those of children that ended)"""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
        text = f.read()
    name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
    return name, int(rest[1]), sum(map(int, rest[11:13])) / TICKS, sum(map(int, rest[13:15])) / TICKS


def processor_time(instance):
    """Program → seconds so far, of all that runs below an instance's supervisor."""
    parent_of, used = {}, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            name, parent, own, ended = stat_of(pid)
        except OSError:
            continue  # gone meanwhile
        parent_of[int(pid)], used[int(pid)] = parent, (name, own, ended)
    top = parent_of[parent_of[instance.pid("controlplane")]]
    total = {}
    for pid, (name, own, ended) in used.items():
        above = pid
        while above not in (0, 1, top):
            above = parent_of.get(above, 0)
        if above == top:
            total[name] = total.get(name, 0) + own
            total["ended"] = total.get("ended", 0) + ended
    return total
