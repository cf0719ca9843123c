"""`portolan-controlplane directory …`: the directory from the command line, for the first administrator."""

import os
import re
import subprocess
import uuid

import pytest

from support.instance import GROUPS_API, eventually
from support.rawhttp import call


@pytest.fixture(scope="module")
def console(instance):
    def run(*words, code=0):
        done = subprocess.run([os.path.join(instance.state, "bin", "portolan-controlplane"), "directory",
                               *words, "--config", os.path.join(instance.state, "config")],
                              text=True, capture_output=True, timeout=60)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stderr if code else done.stdout
    return run


def password_of(text):
    return re.search(r"^password: (\S{24})$", text, re.M)[1]


def sign_in(instance, name, password):
    return instance.session.post(f"{instance.login}/{instance.tenant}/oauth2/v2.0/token", data={
        "grant_type": "password", "client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "username": name, "password": password, "scope": f"{instance.management}/.default"})


def test_people(instance, console, group):
    name = f"ada-{uuid.uuid4().hex[:8]}@{instance.domain}"
    first = password_of(console("user", "add", name, "Ada"))
    assert re.search(rf"enabled\s+{re.escape(name)}  Ada$", console("user", "list"), re.M)
    reply = sign_in(instance, name, first)
    assert reply.status_code == 200, reply.text
    token = reply.json()["access_token"]

    def status():
        return instance.arm("GET", instance.group_id(group), api=GROUPS_API, token=token).status_code
    assert status() == 403
    console("assign", "Reader", name, f"/subscriptions/{instance.subscription}")
    eventually(lambda: status() == 200)
    second = password_of(console("user", "password", name))
    assert second != first and sign_in(instance, name, first).status_code == 400
    assert sign_in(instance, name, second).status_code == 200
    console("user", "disable", name)
    eventually(lambda: status() == 401)
    assert sign_in(instance, name, second).status_code == 400
    assert re.search(rf"disabled\s+{re.escape(name)}", console("user", "list"))
    console("user", "enable", name)
    assert sign_in(instance, name, second).status_code == 200
    assert "already" in console("user", "add", name, "Ada", code=1)


def test_applications(instance, console, registry):
    made = dict(x.split("=", 1) for x in console("app", "add", "robot").split())
    app, secret = made["AZURE_CLIENT_ID"], made["AZURE_CLIENT_SECRET"]
    token = instance.token(client_id=app, client_secret=secret,
                           scope=f"{instance.management}/.default")
    console("assign", "AcrPull", app, registry.id)
    # A role that was given here holds on a running data plane as well.
    eventually(lambda: call(registry, "POST", "/oauth2/exchange", data={
        "grant_type": "access_token", "service": registry.host,
        "access_token": token}).status_code == 200)
    fresh = dict(x.split("=", 1) for x in console("app", "secret", app).split())
    assert fresh["AZURE_CLIENT_ID"] == app and fresh["AZURE_CLIENT_SECRET"] != secret

    def status(value):
        return instance.session.post(f"{instance.login}/{instance.tenant}/oauth2/v2.0/token", data={
            "grant_type": "client_credentials", "client_id": app, "client_secret": value,
            "scope": f"{instance.management}/.default"}).status_code
    assert status(secret) == 401 and status(fresh["AZURE_CLIENT_SECRET"]) == 200


@pytest.mark.parametrize("words", [
    (), ("user",), ("user", "add", "x@y"), ("user", "add", "nodomain", "X"), ("user", "fly", "x@y"),
    ("user", "disable", "nobody@nowhere"), ("app", "secret", "x"),
    ("app", "secret", "11111111-1111-1111-1111-111111111111"), ("assign", "Nothing", "x@y", "/"),
    ("assign", "Reader", "nobody@nowhere", "/"), ("assign", "Reader", "x@y", "here")])
def test_what_is_no_command(console, words):
    assert console(*words, code=1).startswith("portolan-controlplane: ")
