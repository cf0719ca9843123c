"""Signing in with the published identity libraries of Python, JavaScript and Go, unmodified, by every
credential class that has something to sign in with here: applications, people, and managed identities
of workloads on the machine in both shapes."""

import os
import socket
import subprocess
import time
import uuid

import pytest
from cryptography.hazmat.primitives import serialization

from support import sdk
from support.az import Az
from support.certificates import assertion, certificate, new_key, register
from support.directory import Directory
from support.instance import eventually
from support.workloads import Workloads, console

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = ("azure-identity==1.27.0", "azure-mgmt-containerregistry==15.0.0",
          "azure-mgmt-resource==26.0.0")
MODULES = "github.com/Azure/azure-sdk-for-go/sdk"
PASSWORD = "Correct-horse-9"
IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"


def identity(instance, group):
    reply = instance.arm("PUT", f"{instance.group_id(group)}/providers/{IDENTITIES}/"
                         f"id-{uuid.uuid4().hex[:8]}", {"location": "eastus"}, api="2023-01-31")
    assert reply.status_code in (200, 201), reply.text
    return reply.json()["properties"]


def in_python():
    return [sdk.python(*PYTHON), os.path.join(HERE, "sdk", "identity.py")]


def in_javascript():
    return [sdk.node_program(), os.path.join(HERE, "sdk", "identity.mjs"), sdk.node("@azure/identity@4.14.1")]


def in_go():
    return [sdk.go_test_program(os.path.join(HERE, "sdk", "identity.go"), f"{MODULES}/azcore@v1.24.0",
                                f"{MODULES}/azidentity@v1.15.0")]


LANGUAGES = {"python": in_python, "javascript": in_javascript, "go": in_go}


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request):
    return request.param


@pytest.fixture(scope="module")
def program(language):
    return LANGUAGES[language]()


def signed_in(instance, program, *classes, **more):
    """Whom each credential class signs in."""
    done = subprocess.run([*program, *classes], text=True, capture_output=True, timeout=300,
                          env=sdk.environment(instance, **more))
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return dict(line.split() for line in done.stdout.splitlines())


def all_of(who, *classes):
    return dict.fromkeys(classes, who)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def certified(directory, folder):
    """An application with a certificate, a file of it with its key, and one of an assertion."""
    app = directory.application()
    key = new_key("rsa")
    cert = certificate(key)
    register(directory, app, cert)
    (folder / "app.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    (folder / "assertion").write_text(assertion(directory.instance, app, key, "RS256", cert))
    return app, {"CERTIFICATE": str(folder / "app.pem"), "AZURE_CLIENT_ID": app.app_id,
                 "AZURE_FEDERATED_TOKEN_FILE": str(folder / "assertion")}


@pytest.mark.parametrize("style", ["", "/adfs", "/dstsv2"])
def test_secret_in_every_path_style(instance, style):
    app = Directory(instance).application()
    env = {"AZURE_CLIENT_ID": app.app_id, "AZURE_CLIENT_SECRET": app.password}
    if style == "/adfs":
        env["AZURE_TENANT_ID"] = "adfs"
    if style == "/dstsv2":
        env["AZURE_AUTHORITY_HOST"] = instance.login + style
    assert signed_in(instance, in_python(), "ClientSecret", **env) == all_of(
        app.object_id, "ClientSecret")


def test_applications(instance, program, tmp_path):
    app, files = certified(Directory(instance), tmp_path)
    classes = ("ClientCertificate", "ClientAssertion", "WorkloadIdentity")
    assert signed_in(instance, program, *classes, **files) == all_of(app.object_id, *classes)
    classes = ("ClientSecret", "Environment", "Default", "Chained")
    assert signed_in(instance, program, *classes, AZURE_CLIENT_ID=app.app_id,
                     AZURE_CLIENT_SECRET=app.password) == all_of(app.object_id, *classes)


def test_people(instance, program, tmp_path):
    user = Directory(instance).user(PASSWORD)
    person = os.path.join(HERE, "sdk", "person.py")
    # What the libraries open a page with; some wait for it to end before they listen.
    browser = tmp_path / "xdg-open"
    browser.write_text(f"#!/bin/sh\n/usr/bin/python3 {person} \"$1\" >/dev/null 2>&1 &\n")
    browser.chmod(0o755)
    env = {"PERSON": person, "PERSON_NAME": user["userPrincipalName"], "PERSON_PASSWORD": PASSWORD,
           "BROWSER": f"{browser} %s", "PATH": f"{tmp_path}:{os.environ['PATH']}",
           "BACK_PORT": free_port()}
    classes = ("UsernamePassword", "DeviceCode", "InteractiveBrowser")
    assert signed_in(instance, program, *classes, **env) == all_of(user["id"], *classes)


def test_az_signs_them_in(instance, program, tmp_path_factory):
    app = Directory(instance).application()
    az = Az(instance, tmp_path_factory.mktemp("az")).register_whole()
    az("login", "--service-principal", "-u", app.app_id, "-p", app.password, "--tenant",
       instance.tenant, "--allow-no-subscriptions")
    env = {name: az.env[name] for name in ("AZURE_CONFIG_DIR", "AZURE_CORE_COLLECT_TELEMETRY")}
    assert signed_in(instance, program, "AzureCli", **env) == all_of(app.object_id, "AzureCli")


def test_managed_identity(instance, language, program, group):
    mine, other = identity(instance, group), identity(instance, group)
    secret = console(instance, "app", "secret", mine["clientId"])["AZURE_CLIENT_SECRET"]
    it = all_of(mine["principalId"], "ManagedIdentity")
    workloads = Workloads(instance, mine["clientId"])
    try:
        eventually(workloads.is_up)
        # Instance metadata: whoever reaches the listener. Go knows no other address than the cloud's.
        if language != "go":
            assert signed_in(instance, program, "ManagedIdentity",
                             AZURE_POD_IDENTITY_AUTHORITY_HOST=workloads.url) == it
        # App Service: whoever has the header's secret.
        service = {"IDENTITY_ENDPOINT": f"{workloads.url}/msi/token",
                   "IDENTITY_HEADER": f"{mine['clientId']}.{secret}"}
        assert signed_in(instance, program, "ManagedIdentity", **service) == it
        assert signed_in(instance, program, "ManagedIdentity", MANAGED_CLIENT_ID=mine["clientId"],
                         **service) == it
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
