"""Where a server's time goes: perf's hottest functions during a scene, and its system calls."""

import contextlib
import os
import re
import signal
import subprocess
import time


def perf_of(pid, data):
    return subprocess.Popen(["perf", "record", "-q", "-F", "499", "-g", "-p", str(pid), "-o", data],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def report(data, text, *options):
    with open(text, "w", encoding="utf-8") as f:
        subprocess.run(["perf", "report", "-i", data, "--stdio", "--no-children", "-g", "none",
                        "--percent-limit", "0.7", *options], stdout=f, stderr=subprocess.DEVNULL,
                       check=False)


@contextlib.contextmanager
def of(server, scene, folder):
    """Records the server while the block runs; folder None: does nothing."""
    if folder is None:
        yield
        return
    os.makedirs(folder, exist_ok=True)
    base = os.path.join(folder, f"{scene}-{server.name}".replace(" ", "-"))
    perf = perf_of(server.pid, base + ".data")
    try:
        yield
    finally:
        perf.send_signal(signal.SIGINT)
        perf.wait(60)
        report(base + ".data", base + ".txt", "--sort", "dso,symbol")


def system_calls(server, act):
    """Calls by name while act runs, and the requests that act reports."""
    trace = subprocess.Popen(["strace", "-c", "-f", "-U", "name,calls", "-p", str(server.pid)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 10
    while not is_traced(server.pid):
        assert trace.poll() is None and time.monotonic() < deadline, "strace does not attach"
        time.sleep(0.02)
    got = act()
    trace.send_signal(signal.SIGINT)
    text = trace.communicate(timeout=60)[1]
    rows = re.findall(r"^(\w+)\s+(\d+)$", text, re.M)
    calls = {name: int(count) for name, count in rows if name not in ("total", "syscall")}
    assert calls, text
    return calls, got["requests"]


def is_traced(pid):
    """Every thread of the process has its tracer."""
    folder = f"/proc/{pid}/task"
    for thread in os.listdir(folder):
        with open(f"{folder}/{thread}/status", encoding="utf-8") as f:
            if "TracerPid:\t0" in f.read():
                return False
    return True
