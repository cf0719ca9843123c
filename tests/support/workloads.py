"""Workloads with managed identities: the listener they get their tokens from, and its secrets."""

import os
import socket
import subprocess

import requests


class Workloads:
    """One more copy of the control plane, with the listener for workloads and no other."""

    def __init__(self, instance, client_id):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = os.path.join(instance.state, "config")
        user = os.stat(config)
        become = (lambda: (os.setgroups([]), os.setgid(user.st_gid), os.setuid(user.st_uid))) \
            if os.getuid() == 0 else None
        none = [word for host in ("", "login-", "graph-", "vault-", "blob-")
                for word in (f"--{host}edge-listen", "")]
        self.process = subprocess.Popen(
            [os.path.join(instance.state, "bin", "portolan-controlplane"), "serve", "--config", config,
             *none, "--workload-listen", f"127.0.0.1:{self.port}", "--workload-identity", client_id],
            preexec_fn=become, cwd="/", stderr=subprocess.DEVNULL)

    def ask(self, path, **headers):
        return requests.get(self.url + path, headers=headers, timeout=30)

    def is_up(self):
        try:
            return self.ask("/").status_code == 404
        except requests.ConnectionError:
            return False

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=30)


def console(instance, *words):
    done = subprocess.run([os.path.join(instance.state, "bin", "portolan-controlplane"), "directory",
                           *words, "--config", os.path.join(instance.state, "config")],
                          text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(x.split("=", 1) for x in done.stdout.split())
