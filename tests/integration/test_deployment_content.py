"""What deployments name instead of holding it: templates and parameter files behind https, template
specs, secrets of key vaults; and what is refused of each."""

import datetime
import http.server
import json
import os
import ssl
import threading
import time
import uuid

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.deployments import Scope, error, nested, properties, template, unique
from support.directory import CONTRIBUTOR, Directory, assign
from support.instance import GROUPS_API, Instance, OperationFailed
from support.vault import Vault

SPECS = "2022-02-01"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"


def identity(name, **rest):
    return {"type": IDENTITY, "apiVersion": "2023-01-31", "name": name, "location": "eastus", **rest}


# --- links ----------------------------------------------------------------------------------------

class Site:
    """An https server of the test's own."""

    def __init__(self, folder):
        self.documents, self.asked = {}, []
        self.pem = self.certificate(folder)
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append(self.path)
                status, headers, body = site.documents.get(self.path.split("?")[0],
                                                           (404, {}, b"none"))
                time.sleep(float(headers.get("X-Wait", 0)))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # the client has had enough

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "site.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def certificate(folder):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.datetime.utcnow()
        cert = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(
            key.public_key()).serial_number(1).not_valid_before(
            now - datetime.timedelta(hours=1)).not_valid_after(
            now + datetime.timedelta(hours=2)).add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), False).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), True).sign(key, hashes.SHA256())
        pem = cert.public_bytes(serialization.Encoding.PEM)
        (folder / "site.pem").write_bytes(pem + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        return pem

    def put(self, path, value, status=200, **headers):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.documents[path] = (status, headers, body)
        return self.url + path


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    it = Site(tmp_path_factory.mktemp("site"))
    yield it
    it.server.shutdown()


@pytest.fixture(scope="module")
def linking(site):
    """An instance that may fetch links from this machine."""
    it = Instance()
    try:
        it.up()
        ca = os.path.join(it.base, "site.pem")
        with open(ca, "wb") as f:
            f.write(site.pem)
        os.chmod(ca, 0o644)
        with open(os.path.join(it.state, "config"), "a", encoding="utf-8") as f:
            f.write(f"links-allow = 127.0.0.0/8 ::1/128\nlinks-ca-file = {ca}\n")
        it.stop("controlplane")
        it.start("controlplane")
        yield it
    finally:
        it.down()


def linked(uri, parameters=None, **link):
    return {"properties": {"mode": "Incremental", "templateLink": {"uri": uri, **link},
                           "parameters": {k: {"value": v} for k, v in (parameters or {}).items()}}}


def test_links(linking, site):
    group = linking.make_group()
    rg = Scope(linking, linking.group_id(group))
    first, second = unique(), unique()
    site.put("/t/child.json", template([identity("[parameters('name')]")],
                                       parameters={"name": {"type": "string"}}))
    uri = site.put("/t/main.json", template([
        identity("[parameters('name')]"),
        {"type": "Microsoft.Resources/deployments", "apiVersion": "2021-04-01", "name": "child",
         "properties": {"mode": "Incremental", "templateLink": {"relativePath": "child.json"},
                        "parameters": {"name": {"value": second}}}}],
        parameters={"name": {"type": "string"}},
        outputs={"uri": {"type": "string", "value":
                         "[deployment().properties.templateLink.uri]"}}))
    values = site.put("/t/values.json", {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/"
                   "deploymentParameters.json#", "contentVersion": "1.0.0.0",
        "parameters": {"name": {"value": first}}})
    body = {"properties": {"mode": "Incremental",
                           "templateLink": {"uri": uri, "queryString": "sig=hidden",
                                            "contentVersion": "1.0.0.0"},
                           "parametersLink": {"uri": values, "contentVersion": "1.0.0.0"}}}
    reply = rg.call("PUT", "linked", body)
    assert reply.status_code == 201, reply.text
    linking.finish(reply)
    done = rg.get("linked")["properties"]
    assert sorted(r["id"].rsplit("/", 1)[1] for r in done["outputResources"]) == \
        sorted([first, second])
    assert done["templateLink"]["uri"] == uri and "hidden" not in json.dumps(done)
    assert done["parametersLink"]["uri"] == values
    assert "/t/main.json?sig=hidden" in site.asked
    assert done["outputs"]["uri"]["value"] == uri
    for link in ("templateLink", "parametersLink"):
        wrong = json.loads(json.dumps(body))
        wrong["properties"][link]["contentVersion"] = "2.0.0.0"
        refused = error(rg.call("PUT", "wrong", wrong))
        assert refused["code"] == "InvalidContentLink" and "2.0.0.0" in refused["message"]


def test_links_are_looked_into(linking, site):
    """Preflight and what-if read the templates that a template links to."""
    group = linking.make_group()
    rg = Scope(linking, linking.group_id(group))
    name = unique()

    def body(uri):
        return template([{
            "type": "Microsoft.Resources/deployments", "apiVersion": "2021-04-01", "name": "child",
            "properties": {"mode": "Incremental", "templateLink": {"uri": uri},
                           "parameters": {"name": {"value": name}}}}])
    wants = {"name": {"type": "string"}}
    good = body(site.put("/i/good.json", template([identity("[parameters('name')]")],
                                                  parameters=wants)))
    seen = rg.what_if(good)[name]
    assert seen["changeType"] == "Create" and seen["deploymentId"].endswith("/child")
    rg.run(good)
    assert rg.what_if(good)[name]["changeType"] == "NoChange"
    for what, says in ((template([{**identity("x"), "type": "No.Such/thing"}], parameters=wants),
                        "NoRegisteredProviderFound"),
                       (template([identity("[nope()]")], parameters=wants), "nope")):
        refused = error(rg.start("no", body(site.put("/i/bad.json", what))))
        assert refused["code"] == "InvalidTemplateDeployment", refused
        assert says in json.dumps(refused["details"])
    assert error(rg.start("no", body(site.url + "/none.json")))["details"][0]["code"] == \
        "InvalidContentLink"


def test_a_template_that_links_to_itself_ends(linking, site):
    rg = Scope(linking, linking.group_id(linking.make_group()))
    uri = site.url + "/self.json"
    site.put("/self.json", template([{
        "type": "Microsoft.Resources/deployments", "apiVersion": "2021-04-01",
        "name": "[uniqueString(deployment().name)]",
        "properties": {"mode": "Incremental", "templateLink": {"uri": uri}}}]))
    refused = error(rg.call("PUT", "self", linked(uri)))
    assert refused["code"] == "InvalidTemplateDeployment"
    assert "nested more than '8' levels deep" in json.dumps(refused)
    # When its preflight is left out, its run ends as well.
    request = linked(uri)
    request["properties"]["validationLevel"] = "Template"
    with pytest.raises(OperationFailed, match="nested more than '8' levels deep"):
        linking.finish(rg.call("PUT", "self", request), timeout=60)


def test_links_are_bounded(linking, site):
    rg = Scope(linking, linking.group_id(linking.make_group()))

    def refused(uri, says):
        got = error(rg.call("PUT", "no", linked(uri)))
        assert got["code"] == "InvalidContentLink" and says in got["message"], got
    good = site.put("/good.json", template([]))
    refused(site.url + "/none.json", "404")
    refused(good.replace("https", "http"), "must begin with https")
    refused("file:///etc/passwd", "must begin with https")
    refused(site.put("/huge.json", b" " * ((4 << 20) + 1)), "")
    refused(site.put("/loop.json", b"", 302, Location="/loop.json"), "")
    refused(site.put("/plain.json", b"", 302, Location=good.replace("https", "http")), "")
    refused(site.put("/inner.json", b"", 302, Location="https://10.255.255.1/x.json"), "")
    refused("https://169.254.169.254/metadata", "")
    refused(site.put("/slow.json", template([]), **{"X-Wait": "9"}), "")
    moved = site.put("/moved.json", b"", 302, Location="/good.json")
    assert rg.call("PUT", "yes", linked(moved)).status_code == 201
    both = linked(good)
    both["properties"]["template"] = template([])
    assert error(rg.call("PUT", "no", both))["code"] == "InvalidRequestContent"
    bad = error(rg.call("PUT", "no", linked(site.put("/bad.json", b'{"resources": [}'))))
    assert bad["code"] in ("InvalidTemplate", "InvalidRequestContent")


def test_links_to_this_machine_are_refused(instance, group, site):
    rg = Scope(instance, instance.group_id(group))
    before = len(site.asked)
    got = error(rg.call("PUT", "no", linked(site.put("/own.json", template([])))))
    assert got["code"] == "InvalidContentLink"
    assert len(site.asked) == before


# --- template specs -------------------------------------------------------------------------------

def make_spec(instance, group, name, **version):
    spec = f"{instance.group_id(group)}/providers/Microsoft.Resources/templateSpecs/{name}"
    made = instance.arm("PUT", spec, {"location": "eastus", "properties": {"displayName": "A b"}},
                        api=SPECS)
    assert made.status_code == 201, made.text
    made = instance.arm("PUT", f"{spec}/versions/1.0", {"location": "eastus", "properties": version},
                        api=SPECS)
    assert made.status_code == 201, made.text
    return f"{spec}/versions/1.0"


def test_template_specs(instance, group):
    rg = Scope(instance, instance.group_id(group))
    first, second = unique(), unique()
    child = template([identity("[parameters('name')]")], parameters={"name": {"type": "string"}})
    main = template([identity(first), {
        "type": "Microsoft.Resources/deployments", "apiVersion": "2021-04-01", "name": "part",
        "properties": {"mode": "Incremental", "templateLink": {"relativePath": "parts/one.json"},
                       "parameters": {"name": {"value": second}}}}])
    spec = make_spec(instance, group, "spec", mainTemplate=main,
                     linkedTemplates=[{"path": "parts/one.json", "template": child}])
    shown = instance.arm("GET", spec, api=SPECS).json()
    assert shown["properties"]["mainTemplate"] == main and shown["name"] == "1.0"
    body = {"properties": {"mode": "Incremental", "templateLink": {"id": spec}, "parameters": {}}}
    reply = rg.call("PUT", "fromspec", body)
    assert reply.status_code == 201, reply.text
    instance.finish(reply)
    done = rg.get("fromspec")["properties"]
    assert sorted(r["id"].rsplit("/", 1)[1] for r in done["outputResources"]) == \
        sorted([first, second])
    assert done["templateLink"]["id"] == spec
    for wrong in (spec[:-1] + "9", spec.rsplit("/versions", 1)[0]):
        body["properties"]["templateLink"]["id"] = wrong
        assert error(rg.call("PUT", "no", body))["code"] == "InvalidContentLink"
    # Only who may read the spec may deploy it.
    body["properties"]["templateLink"]["id"] = spec
    other = instance.make_group()
    who = Directory(instance).application()
    assert assign(instance, who.object_id, CONTRIBUTOR,
                  instance.group_id(other)).status_code == 201
    refused = Scope(instance, instance.group_id(other)).call("PUT", "no", body, token=who.token())
    assert error(refused)["code"] == "InvalidContentLink"
    instance.arm("DELETE", instance.group_id(other), api=GROUPS_API)


# --- key vaults -----------------------------------------------------------------------------------

@pytest.fixture
def vault(instance, group):
    it = Vault(instance, group).make(enabledForTemplateDeployment=True)
    yield it
    if instance.arm("GET", it.id, api="2023-07-01").status_code == 200:
        it.delete()
    it.purge()


def secret(vault, name, **rest):
    return {"reference": {"keyVault": {"id": vault.id}, "secretName": name, **rest}}


WANTS = {"password": {"type": "securestring"}}


def test_key_vault_references(instance, group, rg, vault):
    canary, name = "Canary" + uuid.uuid4().hex, unique()
    old = vault.good("PUT", "/secrets/pw", {"value": canary + "old"})["id"].rsplit("/", 1)[1]
    vault.good("PUT", "/secrets/pw", {"value": canary})
    body = template([identity(name, tags={"n": "[string(length(parameters('password')))]"})],
                    parameters=WANTS,
                    outputs={"leak": {"type": "string", "value": "[parameters('password')]"}})
    done = rg.run(body, {"password": secret(vault, "pw")}, name="kv")
    assert done["properties"]["parameters"]["password"] == {
        "type": "SecureString", "reference": secret(vault, "pw")["reference"]}
    path = f"{instance.group_id(group)}/providers/{IDENTITY}/{name}"
    assert instance.arm("GET", path, api="2023-01-31").json()["tags"]["n"] == str(len(canary))
    shown = json.dumps(done) + json.dumps(rg.what_if(body, {"password": secret(vault, "pw")}))
    assert canary not in shown
    # A version, and a parameter that is not even secure.
    plain = {**body, "parameters": {"password": {"type": "string"}}}
    done = rg.run(plain, {"password": secret(vault, "pw", secretVersion=old)}, name="kv2")
    assert canary not in json.dumps(done)
    assert instance.arm("GET", path, api="2023-01-31").json()["tags"]["n"] == str(len(canary) + 3)
    # Nested, with an id that an expression gives.
    inner = nested("inkv", template([identity(name, tags={"n": "[parameters('password')]"})],
                                    parameters=WANTS),
                   parameters={"password": {"reference": {
                       "keyVault": {"id": f"[resourceId('Microsoft.KeyVault/vaults', "
                                          f"'{vault.name}')]"}, "secretName": "pw"}}})
    rg.run(template([inner]), name="outer")
    assert instance.arm("GET", path, api="2023-01-31").json()["tags"]["n"] == canary
    assert canary not in json.dumps([rg.get("outer"), rg.get("inkv"), rg.operations("outer")])


def test_key_vault_refusals(instance, group, rg, vault):
    body = template([], parameters=WANTS)
    vault.good("PUT", "/secrets/pw", {"value": "x1"})

    def refused(reference, **options):
        return error(rg.call("PUT", "no", properties(body, {"password": reference}), **options))
    got = refused(secret(vault, "none"))
    assert got["code"] == "KeyVaultParameterReferenceSecretRetrieveFailed", got
    assert got["target"] == "password" and "none" in got["message"]
    missing = secret(vault, "pw")
    missing["reference"]["keyVault"] = {"id": vault.id + "x"}
    assert refused(missing)["code"] == "KeyVaultParameterReferenceNotFound"
    assert refused({"reference": {"secretName": "pw"}})["code"] == "InvalidRequestContent"
    # A contributor may deploy, and read the vault; the secret needs a right of its own.
    who, other = Directory(instance).application(), instance.make_group()
    assert assign(instance, who.object_id, CONTRIBUTOR,
                  instance.group_id(other)).status_code == 201
    got = error(Scope(instance, instance.group_id(other)).call(
        "PUT", "no", properties(body, {"password": secret(vault, "pw")}), token=who.token()))
    assert got["code"] == "KeyVaultParameterReferenceAuthorizationFailed", got
    instance.arm("DELETE", instance.group_id(other), api=GROUPS_API)
    vault.make(enabledForTemplateDeployment=False)
    got = refused(secret(vault, "pw"))
    assert got["code"] == "KeyVaultParameterReferenceSecretRetrieveFailed", got
    assert "Forbidden" in got["message"]


@pytest.fixture
def rg(instance, group):
    return Scope(instance, instance.group_id(group))
