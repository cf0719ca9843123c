"""Signing in with the published identity library, unmodified: applications, and managed identities of
workloads on the machine in both shapes."""

import os
import socket
import subprocess
import time
import uuid

import pytest
import requests

from support import sdk
from support.directory import Directory
from support.instance import eventually

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = ("azure-identity==1.27.0", "azure-mgmt-containerregistry==15.0.0",
          "azure-mgmt-resource==26.0.0")
IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"


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
        none = [word for name in ("edge-listen", "login-edge-listen", "graph-edge-listen",
                                  "vault-edge-listen") for word in (f"--{name}", "")]
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


def identity(instance, group):
    reply = instance.arm("PUT", f"{instance.group_id(group)}/providers/{IDENTITIES}/"
                         f"id-{uuid.uuid4().hex[:8]}", {"location": "eastus"}, api="2023-01-31")
    assert reply.status_code in (200, 201), reply.text
    return reply.json()["properties"]


def console(instance, *words):
    done = subprocess.run([os.path.join(instance.state, "bin", "portolan-controlplane"), "directory",
                           *words, "--config", os.path.join(instance.state, "config")],
                          text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(x.split("=", 1) for x in done.stdout.split())


def signed_in(instance, *words, **more):
    done = subprocess.run([sdk.python(*PYTHON), os.path.join(HERE, "sdk", "identity.py"),
                           instance.management, *words], text=True, capture_output=True, timeout=120,
                          env=sdk.environment(instance, **more))
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return done.stdout.strip()


@pytest.mark.parametrize("style", ["", "/adfs"])
def test_secret(instance, style):
    app = Directory(instance).application()
    tenant = {"AZURE_TENANT_ID": "adfs"} if style else {}
    assert signed_in(instance, "secret", AZURE_CLIENT_ID=app.app_id, AZURE_CLIENT_SECRET=app.password,
                     **tenant) == app.object_id


def test_managed_identity(instance, group):
    mine, other = identity(instance, group), identity(instance, group)
    secret = console(instance, "app", "secret", mine["clientId"])["AZURE_CLIENT_SECRET"]
    workloads = Workloads(instance, mine["clientId"])
    try:
        eventually(workloads.is_up)
        # Instance metadata: whoever reaches the listener.
        assert signed_in(instance, "managed",
                         AZURE_POD_IDENTITY_AUTHORITY_HOST=workloads.url) == mine["principalId"]
        # App Service: whoever has the header's secret.
        service = {"IDENTITY_ENDPOINT": f"{workloads.url}/msi/token",
                   "IDENTITY_HEADER": f"{mine['clientId']}.{secret}"}
        assert signed_in(instance, "managed", **service) == mine["principalId"]
        assert signed_in(instance, "managed", mine["clientId"], **service) == mine["principalId"]
        token = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=" + instance.management
        good = workloads.ask(token, Metadata="true")
        assert good.status_code == 200 and good.json()["token_type"] == "Bearer"
        assert int(good.json()["expires_on"]) > time.time() + 3000
        for path, headers, status in (
                (token, {}, 400), (token, {"Metadata": "no"}, 400),
                (token, {"Metadata": "true", "X-Forwarded-For": "1.2.3.4"}, 403),
                (token + "&client_id=" + other["clientId"], {"Metadata": "true"}, 400),
                (token + "&msi_res_id=/x", {"Metadata": "true"}, 400),
                (token.split("resource=")[0] + "resource=https://evil.example", {"Metadata": "true"}, 400),
                (token.replace("/metadata/identity/oauth2", "/msi"), {"Metadata": "true"}, 401),
                (token.replace("/metadata/identity/oauth2", "/msi"),
                 {"X-IDENTITY-HEADER": f"{mine['clientId']}.wrong"}, 401),
                (token.replace("/metadata/identity/oauth2", "/msi"),
                 {"X-IDENTITY-HEADER": f"{other['clientId']}.{secret}"}, 401),
                ("/oauth2/token", {"Metadata": "true"}, 404)):
            reply = workloads.ask(path, **headers)
            assert reply.status_code == status, (path, headers, reply.text)
            assert "access_token" not in reply.text
    finally:
        workloads.close()
