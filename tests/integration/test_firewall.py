"""Network rules through the management API: what may be written, what it does on whole instances, and
the call that tells which rule decides."""

import json
import re
import subprocess
import time
import uuid

import pytest
import requests

from support.directory import Directory, assign
from support.instance import eventually, make_image, took_effect
from support.networks import Networks
from support.rawhttp import Plane
from support.workloads import Workloads, console


def code(reply):
    return reply.json()["error"]["code"]


def rules(*values, action="Deny", subnets=()):
    return {"networkRuleSet": {
        "defaultAction": action, "virtualNetworkRules": list(subnets),
        "ipRules": [{"action": "Allow", "value": v} for v in values]}}


def change(registry, wait=True, **properties):
    reply = registry.instance.arm("PATCH", registry.id, {"properties": properties})
    assert reply.status_code in (200, 201), reply.text
    if wait:
        registry.instance.finish(reply)
    return reply


@pytest.fixture(scope="module")
def premium(instance):
    group = instance.make_group()
    registry = instance.make_registry(group, sku="Premium")
    registry.password  # asked for while everything is open
    yield registry
    instance.delete(registry.id)


@pytest.fixture(autouse=True)
def open_again(request):
    yield
    if "premium" in request.fixturenames:
        registry = request.getfixturevalue("premium")
        change(registry, publicNetworkAccess="Enabled", dataEndpointEnabled=False,
               policies={"exportPolicy": {"status": "enabled"}}, **rules(action="Allow"))
        eventually(lambda: registry.call("GET", "/v2/").status_code == 200)


# --- what may be written --------------------------------------------------------------------------

@pytest.mark.parametrize("value,is_good", [
    ("192.0.2.1", True), ("192.0.2.0/24", True), ("10.0.0.0/8", True), ("192.0.2.9/24", True),
    ("0.0.0.0/0", True), ("192.0.2.1/32", True), ("192.0.2.0/33", False), ("192.0.2.0/08", False),
    ("192.0.2.0/", False), ("192.0.2", False), ("192.0.2.256", False), ("192.0.2.01", False),
    ("2001:db8::1", False), ("::ffff:1.2.3.4", False), ("example.org", False),
    ("192.0.2.1 ", False), ("1.2.3.4/24/24", False), ("1.2.3.4-9.9.9", False)])
def test_values_of_ip_rules(instance, premium, value, is_good):
    reply = instance.arm("PATCH", premium.id, {"properties": rules(value, action="Allow")})
    if is_good:
        assert reply.status_code in (200, 201), reply.text
        shown = reply.json()["properties"]["networkRuleSet"]["ipRules"]
        assert shown == [{"action": "Allow", "value": value}]
        instance.finish(reply)
    else:
        assert reply.status_code == 400, reply.text


def test_limits_and_tiers(instance, premium, group):
    many = [f"192.0.{i // 250}.{i % 250}" for i in range(201)]
    reply = instance.arm("PATCH", premium.id, {"properties": rules(*many)})
    assert reply.status_code in (400, 403, 409), reply.text
    change(premium, **rules(*many[:200], action="Allow"))
    used = {u["name"]: u for u in instance.arm("GET", f"{premium.id}/listUsages").json()["value"]}
    assert used["IPRules"]["limit"] == 200 and used["IPRules"]["currentValue"] == 200
    for sku in ("Basic", "Standard"):
        for properties in (rules("192.0.2.1"), {"publicNetworkAccess": "Disabled"},
                           {"dataEndpointEnabled": True},
                           {"policies": {"exportPolicy": {"status": "disabled"}}}):
            reply = instance.arm("PUT", instance.registry_id(group, f"t{uuid.uuid4().hex[:9]}"),
                                 {"location": "eastus", "sku": {"name": sku},
                                  "properties": properties})
            assert reply.status_code == 400, (sku, properties, reply.text)


@pytest.fixture
def subnet(instance, group):
    """The id of a subnet that registries can admit."""
    net = Networks(instance, group)
    net.network("vn")
    net.put("virtualNetworks/vn/subnets/clients", {
        "addressPrefix": "10.0.1.0/24",
        "serviceEndpoints": [{"service": "Microsoft.ContainerRegistry"}]}, location=None)
    return net.subnet_id("vn", "clients")


def test_subnet_rules_in_both_spellings(instance, premium, subnet):
    for api, member in (("2019-05-01", "id"),
                        ("2026-03-01-preview", "virtualNetworkSubnetResourceId")):
        body = {"properties": rules(action="Allow", subnets=[{"action": "Allow", member: subnet}])}
        reply = instance.arm("PATCH", premium.id, body, api=api)
        assert reply.status_code in (200, 201), reply.text
        instance.finish(reply)
        shown = instance.arm("GET", premium.id, api=api).json()["properties"]
        assert shown["networkRuleSet"]["virtualNetworkRules"][0][member] == subnet
        bad = {"properties": rules(subnets=[{"action": "Allow", member: "/not/a/subnet"}])}
        assert instance.arm("PATCH", premium.id, bad, api=api).status_code == 400


def test_52_exports_need_closed_doors(instance, premium):
    off = {"policies": {"exportPolicy": {"status": "disabled"}}}
    reply = instance.arm("PATCH", premium.id, {"properties": off})
    assert reply.status_code == 400 and code(reply) == "BadRequest"
    assert "exports disabled" in reply.json()["error"]["message"]
    change(premium, publicNetworkAccess="Disabled", **off)
    reply = instance.arm("PATCH", premium.id, {"properties": {"publicNetworkAccess": "Enabled"}})
    assert reply.status_code == 400 and code(reply) == "BadRequest"
    # Both ways between export pipelines and the switch.
    pipeline = f"{premium.id}/exportPipelines/outward"
    body = {"identity": {"type": "SystemAssigned"}, "location": "eastus", "properties": {
        "target": {"type": "AzureStorageBlobContainer", "keyVaultUri": "https://v.example/secrets/s",
                   "uri": "https://a.blob.example/c"}}}
    api = "2025-06-01-preview"
    reply = instance.arm("PUT", pipeline, body, api=api)
    assert reply.status_code == 400 and "exports disabled" in reply.text, reply.text
    change(premium, publicNetworkAccess="Disabled",
           policies={"exportPolicy": {"status": "enabled"}})
    reply = instance.arm("PUT", pipeline, body, api=api)
    assert reply.status_code in (200, 201), reply.text
    instance.finish(reply)
    reply = instance.arm("PATCH", premium.id, {"properties": off})
    assert reply.status_code == 400 and "export pipelines" in reply.text, reply.text
    instance.delete(pipeline, api=api)
    change(premium, **off)


# --- which rule decides ---------------------------------------------------------------------------

def verdict(registry, **question):
    reply = registry.instance.arm("POST", f"{registry.id}/checkNetworkAccess", question)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_which_rule_decided(instance, premium, subnet):
    allowed = {"access": "Allowed", "decidedBy": "defaultAction"}
    denied = {"access": "Denied", "decidedBy": "defaultAction"}
    assert verdict(premium, ipAddress="203.0.113.1") == allowed
    change(premium, **rules("10.0.0.0/8", "10.1.0.0/16",
                            subnets=[{"action": "Allow", "id": subnet}]))
    assert verdict(premium, ipAddress="203.0.113.1") == denied
    assert verdict(premium, ipAddress="10.1.2.3") == {
        "access": "Allowed", "decidedBy": "ipRule", "rule": "10.1.0.0/16"}
    assert verdict(premium, ipAddress="::ffff:10.2.2.3")["rule"] == "10.0.0.0/8"
    assert verdict(premium, ipAddress="2001:db8::1") == denied


def test_51_services_and_tasks_have_switches_of_their_own(instance, premium):
    change(premium, publicNetworkAccess="Disabled", networkRuleBypassOptions="AzureServices",
           **rules("10.0.0.0/8"))
    closed = {"access": "Denied", "decidedBy": "publicNetworkAccess"}
    assert verdict(premium, ipAddress="10.1.2.3") == closed
    assert verdict(premium, ipAddress="10.1.2.3", service="TrustedService") == {
        "access": "Allowed", "decidedBy": "networkRuleBypass"}
    assert verdict(premium, ipAddress="10.1.2.3", service="Task") == closed
    change(premium, networkRuleBypassAllowedForTasks=True, networkRuleBypassOptions="None")
    assert verdict(premium, ipAddress="10.1.2.3", service="Task")["access"] == "Allowed"
    assert verdict(premium, ipAddress="10.1.2.3", service="TrustedService") == closed
    change(premium, networkRuleBypassAllowedForTasks=False,
           networkRuleBypassOptions="AzureServices")


TASK = {"location": "eastus", "identity": {"type": "SystemAssigned"}, "properties": {
    "platform": {"os": "linux"}, "step": {"type": "Docker", "dockerFilePath": "Dockerfile",
                                          "contextPath": "https://github.com/a/b"}}}
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
OFF = {"networkRuleBypassOptions": "None", "networkRuleBypassAllowedForTasks": False}


@pytest.mark.parametrize("kind,switch,other", [
    ("task", {"networkRuleBypassAllowedForTasks": True}, {"networkRuleBypassOptions": "AzureServices"}),
    ("registry", {"networkRuleBypassOptions": "AzureServices"}, {"networkRuleBypassAllowedForTasks": True}),
    ("user-assigned", {}, {"networkRuleBypassOptions": "AzureServices",
                           "networkRuleBypassAllowedForTasks": True})])
def test_51_a_system_identity_gets_in_by_its_switch(instance, premium, group, kind, switch, other):
    """The whole way: an identity of a task, of another registry, or one that somebody made, a role on the
    registry, a token of the directory, and the registry closed to this machine."""
    if kind == "task":
        made = instance.arm("PUT", f"{premium.id}/tasks/t{uuid.uuid4().hex[:8]}", TASK,
                            api="2019-06-01-preview").json()["identity"]
    elif kind == "registry":
        maker = instance.make_registry(group)
        instance.finish(instance.arm("PATCH", maker.id, {"identity": {"type": "SystemAssigned"}}))
        made = instance.arm("GET", maker.id).json()["identity"]
    else:
        made = instance.arm("PUT", f"{instance.group_id(group)}/providers/Microsoft.ManagedIdentity/"
                            "userAssignedIdentities/worker", {"location": "eastus"},
                            api="2023-01-31").json()["properties"]
    directory = Directory(instance)
    app_id = directory.call("GET", f"servicePrincipals/{made['principalId']}").json()["appId"]
    secret = console(instance, "app", "secret", app_id)["AZURE_CLIENT_SECRET"]
    workloads = Workloads(instance, app_id)
    try:
        eventually(workloads.is_up)
        told = workloads.ask(f"/msi/token?api-version=2019-08-01&resource={instance.management}",
                             **{"X-IDENTITY-HEADER": f"{app_id}.{secret}"})
        token = told.json()["access_token"]
    finally:
        workloads.close()

    def status():
        return instance.session.post(f"{premium.url}/oauth2/exchange", data={
            "grant_type": "access_token", "service": premium.host, "access_token": token}).status_code
    eventually(lambda: status() == 401)  # no role yet
    assert assign(instance, made["principalId"], ACR_PULL, premium.id).status_code == 201
    eventually(lambda: status() == 200)
    change(premium, publicNetworkAccess="Disabled", **OFF)
    eventually(lambda: status() == 403)
    if switch:
        change(premium, **{**OFF, **switch})
        eventually(lambda: status() == 200)
        assert instance.session.get(premium.url + "/v2/").status_code == 403
        assert instance.session.get(premium.url + "/v2/", auth=premium.auth).status_code == 403
    change(premium, **{**OFF, **other})
    eventually(lambda: status() == 403)
    time.sleep(1)
    assert status() == 403
    change(premium, networkRuleBypassAllowedForTasks=False, networkRuleBypassOptions="AzureServices")


def test_questions_that_are_none(instance, premium):
    for body in ({}, {"ipAddress": "nobody"}, {"ipAddress": "10.0.0.0/8"}, {"ipAddress": 7},
                 {"ipAddress": "10.0.0.1", "service": "Root"}):
        reply = instance.arm("POST", f"{premium.id}/checkNetworkAccess", body)
        assert reply.status_code == 400, (body, reply.text)
    missing = instance.arm("POST", f"{premium.id}x/checkNetworkAccess", {"ipAddress": "10.0.0.1"})
    assert missing.status_code == 404


# --- what it does ---------------------------------------------------------------------------------

def kept(registry):
    """A session whose connection stays open."""
    session = requests.Session()
    session.verify, session.trust_env, session.auth = registry.instance.ca, False, registry.auth
    return session


def test_rules_hold_behind_the_edge(instance, premium):
    session = kept(premium)
    assert session.get(premium.url + "/v2/").status_code == 200
    change(premium, **rules("203.0.113.0/24"))
    took_effect("rules of one registry",
                lambda: session.get(premium.url + "/v2/").status_code == 403)
    reply = session.get(premium.url + "/v2/")
    assert reply.json()["errors"][0]["message"].startswith("client with IP '127.0.0.1' is not") or \
        reply.json()["errors"][0]["message"].startswith("client with IP '::1' is not")
    for headers in ({"X-Forwarded-For": "203.0.113.7"}, {"Forwarded": "for=203.0.113.7"}):
        assert session.get(premium.url + "/v2/", headers=headers).status_code == 403
    change(premium, publicNetworkAccess="Disabled")
    eventually(lambda: session.get(premium.url + "/v2/").status_code == 403, timeout=10)


def row_of(registry):
    """Its state, and the generation that is wanted."""
    (row,) = registry.instance.sql("control", "select state, generation, uid from resources "
                                   f"where key = lower('{registry.id}')")
    return row


def published(registry):
    """What its data plane reads: generations of the projection and of the wish, settings."""
    (row,) = Plane(registry.instance, registry).sql(
        "select generation, resource_generation, settings from registries where id = $id")
    return row[0], row[1], json.loads(row[2])


def look_again(registry):
    """Waits until the steps have observed it."""
    it, uid = registry.instance, row_of(registry)[2]
    it.sql("control", f"update resources set not_before = now() where uid = '{uid}'")
    eventually(lambda: it.sql("control", "select 1 from resources where lease_owner is null and "
                              f"not_before > now() + interval '20 s' and uid = '{uid}'"))


def test_a_change_of_rules_is_all_done_when_it_is_answered(instance, premium, subnet):
    """Nobody else works on it, and the steps, when they look again, find what they would have published."""
    named = [{"action": "Allow", "id": subnet}]
    look_again(premium)  # whatever went before
    for properties in (rules("203.0.113.7", subnets=named), rules("203.0.113.8"),
                       {"publicNetworkAccess": "Disabled"}, {"publicNetworkAccess": "Enabled"},
                       {"networkRuleBypassOptions": "None"}, {"networkRuleBypassAllowedForTasks": True},
                       {"networkRuleBypassAllowedForTasks": False,
                        "networkRuleBypassOptions": "AzureServices", **rules(action="Allow")}):
        reply = change(premium, wait=False, **properties)
        state, generation, _ = row_of(premium)
        assert state == "Succeeded", (properties, state)
        assert instance.arm("GET", reply.headers["Azure-AsyncOperation"],
                            api=None).json()["status"] == "Succeeded"
        was = published(premium)
        assert was[1] == generation
        look_again(premium)
        assert published(premium)[2] == was[2], properties
        assert published(premium) == was, properties
        assert not re.search(f"event=reconcile resource={premium.id} .*generation={generation} ",
                             instance.log_text())


def test_what_cannot_be_published_at_once_is_by_the_steps(instance, premium):
    """The answer does not wait for it, nor does the operation tell that it is done."""
    refuse = "create function refuse() returns trigger language plpgsql as " \
             "$f$ begin raise exception 'not now'; end $f$; " \
             "create trigger refuse before update on registries for each row execute function refuse()"
    instance.sql("eastus", refuse)
    try:
        reply = change(premium, wait=False, **rules("203.0.113.9"))
        generation = row_of(premium)[1]
        assert row_of(premium)[0] == "Updating" and int(published(premium)[1]) < int(generation)
    finally:
        instance.sql("eastus", "drop trigger refuse on registries; drop function refuse()")
    instance.finish(reply)
    assert published(premium)[1] == generation
    assert published(premium)[2]["networkRuleSet"]["ipRules"][0]["value"] == "203.0.113.9"


def test_a_change_of_more_than_rules_takes_the_steps(instance, premium):
    reply = change(premium, wait=False, adminUserEnabled=False, **rules("203.0.113.7"))
    instance.finish(reply)
    state, generation, _ = row_of(premium)
    assert state == "Succeeded" and published(premium)[1] == generation
    assert published(premium)[2]["adminUserEnabled"] is False
    eventually(lambda: re.search(f"event=reconcile resource={premium.id} .*generation={generation} ",
                                 instance.log_text()))
    change(premium, adminUserEnabled=True)


def test_a_dead_control_plane_takes_no_change_back(own_instance):
    """Several data planes obey a rule although the control plane died right after the write had been
    answered."""
    it = own_instance
    group = it.make_group()
    registries = [it.make_registry(group, sku="Premium", location=where)
                  for where in ("eastus", "westeurope", "southeastasia")]
    sessions = [kept(r) for r in registries]
    for session, registry in zip(sessions, registries):
        assert session.get(registry.url + "/v2/").status_code == 200
    for registry in registries:
        change(registry, wait=False, **rules("203.0.113.7"))
    it.kill("controlplane")
    it.stop("controlplane")
    for session, registry in zip(sessions, registries):
        took_effect("rules, the control plane dead",
                    lambda: session.get(registry.url + "/v2/").status_code == 403)
    # A data plane that starts anew knows it as well.
    name = it.dataplanes()[0]
    it.stop(name)
    it.start(name)
    eventually(lambda: all(it.session.get(r.url + "/v2/").status_code == 403 for r in registries))


# --- data endpoints -------------------------------------------------------------------------------

def test_clients_follow_to_the_data_endpoint(instance, premium, tmp_path):
    change(premium, dataEndpointEnabled=True)
    host = f"{premium.name}.eastus.data.cr.{instance.domain}"
    shown = instance.arm("GET", premium.id).json()["properties"]
    assert shown["dataEndpointHostNames"] == [host]
    make_image(tmp_path / "layout", "v1", 200000)
    target = f"docker://{premium.host}/team/app:v1"
    login = f"{premium.name}:{premium.password}"
    certs = tmp_path / "certs"
    certs.mkdir()
    (certs / "ca.crt").write_bytes(open(instance.ca, "rb").read())

    def skopeo(*arguments):
        done = subprocess.run(["skopeo", "--insecure-policy", *arguments], text=True, timeout=120,
                              capture_output=True)
        assert done.returncode == 0, done.stderr + instance.log_tail()
        return done.stdout
    skopeo("copy", "--dest-creds", login, "--dest-cert-dir", str(certs),
           f"oci:{tmp_path}/layout:v1", target)
    skopeo("copy", "--src-creds", login, "--src-cert-dir", str(certs), target,
           f"oci:{tmp_path}/back:v1")
    log = eventually(lambda: instance.log_text() if "path=/data/team/app/blobs/sha256:" in
                     instance.log_text() else None)
    assert "path=/data/team/app/blobs/sha256:" in log
    manifest = premium.call("GET", "/v2/team/app/manifests/v1", headers={
        "Accept": "application/vnd.oci.image.manifest.v1+json"}).json()
    layer = manifest["layers"][0]
    path = f"/v2/team/app/blobs/{layer['digest']}"
    moved = premium.call("GET", path, allow_redirects=False)
    assert moved.status_code == 307
    assert moved.headers["Location"].startswith(f"https://{host}:{instance.port}/")
    fetched = subprocess.run(["curl", "-fsSL", "--cacert", instance.ca, "-u", login, "-o",
                              str(tmp_path / "layer"), premium.url + path], timeout=60)
    assert fetched.returncode == 0
    assert (tmp_path / "layer").stat().st_size == layer["size"]
    change(premium, dataEndpointEnabled=False)
    eventually(lambda: instance.session.get(moved.headers["Location"]).status_code in (403, 404),
               timeout=10)
    eventually(lambda: premium.call("GET", path, allow_redirects=False).status_code == 200,
               timeout=10)
    assert instance.arm("GET", premium.id).json()["properties"]["dataEndpointHostNames"] == []
