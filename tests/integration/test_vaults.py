"""Key vaults: the resource, what is left of a deleted one, who may do what inside, and secrets."""

import base64
import hashlib
import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from support.directory import Directory, assign
from support.instance import GROUPS_API, eventually
from support.vault import PROVIDER, VAULTS_API, Vault, own_object_id

pytestmark = pytest.mark.sanitized

SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"


@pytest.fixture(scope="module")
def vault(instance, home):
    return Vault(instance, home).make()


def error(reply):
    return reply.json()["error"]["code"]


def test_life_of_the_resource(instance, home):
    v = Vault(instance, home)
    made = v.put()
    assert made.status_code == 200, made.text
    shown = made.json()
    assert shown["properties"]["vaultUri"] == v.url + "/"
    assert shown["properties"]["enableSoftDelete"] is True
    assert shown["properties"]["softDeleteRetentionInDays"] == 90
    assert shown["properties"]["provisioningState"] == "Succeeded"
    assert "createMode" not in shown["properties"]
    changed = instance.arm("PATCH", v.id, {"tags": {"a": "b"}, "properties": {
        "enabledForTemplateDeployment": True}}, api=VAULTS_API)
    assert changed.status_code == 200 and changed.json()["tags"] == {"a": "b"}
    assert changed.json()["properties"]["enabledForTemplateDeployment"] is True
    listed = instance.arm("GET", f"/subscriptions/{instance.subscription}/{PROVIDER}/vaults",
                          api=VAULTS_API).json()["value"]
    assert v.id in [x["id"] for x in listed]
    assert error(Vault(instance, instance.make_group(), v.name).put()) == "VaultAlreadyExists"
    assert error(v.put(tenantId=str(uuid.uuid4()))) == "BadRequest"
    assert error(v.put(enableSoftDelete=False)) == "BadRequest"
    assert instance.arm("POST", f"/subscriptions/{instance.subscription}/{PROVIDER}"
                        "/checkNameAvailability", {"name": v.name, "type": "Microsoft.KeyVault/vaults"},
                        api=VAULTS_API).json()["reason"] == "AlreadyExists"
    for bad in ("a", "1abc", "a--b", "ab-", "x" * 25):
        assert error(Vault(instance, home, bad).put()) == "InvalidResourceName", bad


def test_purge_protection_is_for_good(instance, home):
    v = Vault(instance, home).make(enablePurgeProtection=True, softDeleteRetentionInDays=7)
    assert error(v.put(enablePurgeProtection=False)) == "BadRequest"
    assert v.put().json()["properties"]["enablePurgeProtection"] is True
    assert error(v.put(softDeleteRetentionInDays=30)) == "PropertyChangeNotAllowed"
    v.make()
    kept = v.good("PUT", "/secrets/s", {"value": "x"})
    assert kept["attributes"]["recoveryLevel"] == "CustomizedRecoverable"
    assert kept["attributes"]["recoverableDays"] == 7
    v.good("DELETE", "/secrets/s")
    v.refused(403, "PurgeProtected", "DELETE", "/deletedsecrets/s")
    v.delete()
    assert v.purge().status_code == 403


def test_deleted_vault_comes_back_with_all_it_held(instance, home):
    v = Vault(instance, home).make()
    v.good("PUT", "/secrets/kept", {"value": "still here"})
    instance.arm("PATCH", v.id, {"tags": {"a": "b"}}, api=VAULTS_API)
    was = v.get()
    v.delete()
    assert v.call("GET", "/secrets/kept").status_code == 404
    base = f"/subscriptions/{instance.subscription}/{PROVIDER}"
    shown = instance.arm("GET", f"{base}/locations/eastus/deletedVaults/{v.name}",
                         api=VAULTS_API).json()
    assert shown["properties"]["vaultId"] == v.id
    assert shown["properties"]["scheduledPurgeDate"] > shown["properties"]["deletionDate"]
    assert v.name in [x["name"] for x in instance.arm(
        "GET", f"{base}/deletedVaults", api=VAULTS_API).json()["value"]]
    assert error(v.put()) == "ConflictError"
    assert error(Vault(instance, instance.make_group(), v.name).put(createMode="recover")) == \
        "ResourceNotFound"
    back = v.put(createMode="recover")
    assert back.status_code == 200, back.text
    now = v.get()
    assert now["properties"] == was["properties"] and now["tags"] == was["tags"]
    assert v.good("GET", "/secrets/kept")["value"] == "still here"
    v.delete()
    assert v.purge().status_code == 200
    assert v.purge().status_code == 404
    v.make()
    v.refused(404, "SecretNotFound", "GET", "/secrets/kept")
    assert instance.sql("control", "select count(*) from vault_objects o where not exists (select "
                        "from resources r where r.uid = o.vault_uid) and not exists (select from "
                        "deleted_vaults d where d.uid = o.vault_uid)") == [["0"]]


def test_a_deleted_group_leaves_its_vaults_recoverable(instance):
    group = instance.make_group()
    v = Vault(instance, group).make()
    instance.delete(instance.group_id(group), api=GROUPS_API)
    instance.make_group(group)
    assert v.put(createMode="recover").status_code == 200


def test_challenge_tells_whom_to_ask(instance, vault):
    bare = instance.session.put(f"{vault.url}/secrets/x", params={"api-version": "7.4"}, data=b"")
    assert bare.status_code == 401
    told = bare.headers["WWW-Authenticate"]
    assert f'authorization="{instance.login}/{instance.tenant}"' in told
    assert f'resource="https://vault.{instance.domain}:{instance.port}"' in told
    assert bare.json()["error"]["code"] == "Unauthorized"
    vault.refused(401, "Unauthorized", "GET", "/secrets", token=instance.token())


def test_unknown_vaults_and_versions(instance, vault):
    nobody = Vault(instance, vault.group)
    nobody.refused(404, "VaultNotFound", "GET", "/secrets")
    vault.refused(400, "BadParameter", "GET", "/secrets", api=None)
    vault.refused(400, "BadParameter", "GET", "/secrets", api="1.0")
    vault.refused(404, "SecretNotFound", "GET", "/secrets/nothing")
    vault.refused(400, "BadParameter", "PUT", "/secrets/a_b", {"value": "x"})
    vault.refused(404, "SecretNotFound", "GET", "/secrets/nothing/xyz")


def test_secret_and_its_versions(vault):
    first = vault.good("PUT", "/secrets/Both", {"value": "one", "contentType": "text/plain",
                                                "tags": {"k": "v"}})
    second = vault.good("PUT", "/secrets/both", {"value": "two"})
    assert first["id"].startswith(f"{vault.url}/secrets/Both/")
    assert second["id"].startswith(f"{vault.url}/secrets/Both/")
    assert first["id"] != second["id"] and first["contentType"] == "text/plain"
    assert vault.good("GET", "/secrets/both")["value"] == "two"
    assert vault.good("GET", "/secrets/both/")["value"] == "two"
    old = vault.good("GET", first["id"])
    assert old["value"] == "one" and old["tags"] == {"k": "v"}
    versions = vault.good("GET", "/secrets/both/versions")["value"]
    assert [x["id"] for x in versions] == [first["id"], second["id"]]
    assert all("value" not in x for x in versions)
    changed = vault.good("PATCH", first["id"], {"attributes": {"enabled": False},
                                                "contentType": "x"})
    assert "value" not in changed and changed["contentType"] == "x"
    vault.refused(403, "ObjectIsDisabled", "GET", first["id"])
    assert vault.good("GET", "/secrets/both")["value"] == "two"


def test_attributes(vault):
    made = vault.good("PUT", "/secrets/timed", {"value": "x", "attributes": {
        "nbf": 1600000000, "exp": 1700000000}})
    assert made["attributes"]["nbf"] == 1600000000 and made["attributes"]["exp"] == 1700000000
    assert vault.good("GET", "/secrets/timed")["value"] == "x"
    for bad in ({"nbf": 5, "exp": 4}, {"exp": "soon"}, {"enabled": "yes"}, {"nbf": -1}):
        vault.refused(400, "BadParameter", "PUT", "/secrets/timed", {"value": "x",
                                                                     "attributes": bad})
    vault.refused(400, "BadParameter", "PUT", "/secrets/big", {"value": "x" * 25601})
    vault.refused(400, "BadParameter", "PUT", "/secrets/none", {})


def test_delete_recover_purge(vault):
    made = vault.good("PUT", "/secrets/gone", {"value": "x"})
    gone = vault.good("DELETE", "/secrets/gone")
    assert gone["recoveryId"] == f"{vault.url}/deletedsecrets/gone"
    assert gone["scheduledPurgeDate"] > gone["deletedDate"]
    vault.refused(404, "SecretNotFound", "GET", "/secrets/gone")
    vault.refused(404, "SecretNotFound", "DELETE", "/secrets/gone")
    vault.refused(409, "ObjectIsDeletedButRecoverable", "PUT", "/secrets/gone", {"value": "y"})
    assert vault.good("GET", "/deletedsecrets/gone")["id"] == made["id"]
    assert "gone" in json.dumps(vault.good("GET", "/deletedsecrets")["value"])
    assert vault.good("POST", "/deletedsecrets/gone/recover")["id"] == made["id"]
    assert vault.good("GET", "/secrets/gone")["value"] == "x"
    vault.good("DELETE", "/secrets/gone")
    vault.good("DELETE", "/deletedsecrets/gone", status=204)
    vault.refused(404, "SecretNotFound", "POST", "/deletedsecrets/gone/recover")
    vault.good("PUT", "/secrets/gone", {"value": "new"})
    assert len(vault.good("GET", "/secrets/gone/versions")["value"]) == 1


def test_pages(instance, home):
    v = Vault(instance, home).make()
    for i in range(7):
        v.good("PUT", f"/secrets/s{i}", {"value": "x"})
    seen, url = [], "/secrets?maxresults=3&api-version=7.4"
    while url:
        page = v.good("GET", url)
        assert len(page["value"]) <= 3
        seen += [x["id"] for x in page["value"]]
        url = page.get("nextLink")
    assert seen == [f"{v.url}/secrets/s{i}" for i in range(7)]


def test_values_rest_wrapped(instance, vault):
    word = f"plain-{uuid.uuid4().hex}"
    vault.good("PUT", "/secrets/wrapped", {"value": word})
    stored = instance.sql("control", "select string_agg(v::text, ' ') from vault_versions v")
    assert stored and word not in stored[0][0] and word not in instance.log_text()


def test_many_setters_at_once(vault):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: vault.good("PUT", "/secrets/raced", {"value": str(i)})["id"],
                             range(24)))
    assert len(set(made)) == 24
    versions = vault.good("GET", "/secrets/raced/versions")["value"]
    assert sorted(x["id"] for x in versions) == sorted(made)


def test_policies_say_who_may_do_what(instance, home):
    app = Directory(instance).application()
    v = Vault(instance, home).make()
    token = app.token(v.scope)
    v.good("PUT", "/secrets/s", {"value": "x"})
    v.refused(403, "AccessDenied", "GET", "/secrets/s", token=token)

    def change(kind, **permissions):
        reply = instance.arm("PUT", f"{v.id}/accessPolicies/{kind}", {"properties": {
            "accessPolicies": [v.policy(app.object_id, **permissions)]}}, api=VAULTS_API)
        assert reply.status_code == 200, reply.text
        return {p["objectId"]: p["permissions"] for p in reply.json()["properties"]["accessPolicies"]}

    assert change("add", secrets=["Get"])[app.object_id]["secrets"] == ["get"]
    assert v.good("GET", "/secrets/s", token=token)["value"] == "x"
    v.refused(403, "AccessDenied", "GET", "/secrets", token=token)
    v.refused(403, "AccessDenied", "PUT", "/secrets/s", {"value": "y"}, token=token)
    change("add", secrets=["all"])
    v.good("PUT", "/secrets/s", {"value": "y"}, token=token)
    v.good("DELETE", "/secrets/s", token=token)
    v.refused(403, "AccessDenied", "DELETE", "/deletedsecrets/s", token=token)
    assert app.object_id not in change("remove", secrets=["get", "all"])
    v.refused(403, "AccessDenied", "GET", "/secrets", token=token)
    assert own_object_id(instance) in [p["objectId"] for p in
                                       v.get()["properties"]["accessPolicies"]]


def test_a_policy_of_a_group_is_its_members(instance, home):
    directory = Directory(instance)
    app, team = directory.application(), directory.group()
    v = Vault(instance, home)
    v.make(accessPolicies=[v.policy(team["id"], secrets=["list"])])
    token = app.token(v.scope)
    v.refused(403, "AccessDenied", "GET", "/secrets", token=token)
    directory.join(team["id"], app.object_id)
    v.good("GET", "/secrets", token=token)


def test_roles_say_who_may_do_what(instance, home):
    app = Directory(instance).application()
    v = Vault(instance, home).make(enableRbacAuthorization=True)
    v.refused(403, "ForbiddenByRbac", "PUT", "/secrets/s", {"value": "x"})
    token = app.token(v.scope)
    assert assign(instance, app.object_id, CONTRIBUTOR, v.id).status_code == 201
    v.refused(403, "ForbiddenByRbac", "GET", "/secrets/s", token=token)
    assert assign(instance, app.object_id, SECRETS_USER, v.id).status_code == 201
    eventually(lambda: v.call("GET", "/secrets/s", token=token).status_code == 404)
    v.refused(403, "ForbiddenByRbac", "PUT", "/secrets/s", {"value": "x"}, token=token)


def test_firewall(instance, home):
    closed = Vault(instance, home).make(publicNetworkAccess="Disabled")
    closed.refused(403, "ForbiddenByFirewall", "GET", "/secrets")
    acls = {"bypass": "None", "defaultAction": "Deny", "ipRules": [{"value": "203.0.113.0/24"}]}
    shut = Vault(instance, home).make(networkAcls=acls)
    shut.refused(403, "ForbiddenByFirewall", "GET", "/secrets")
    shut.make(networkAcls={**acls, "ipRules": [{"value": "127.0.0.0/8"}, {"value": "::1"}]})
    shut.good("GET", "/secrets")
    assert error(shut.put(networkAcls={**acls, "ipRules": [{"value": "nowhere"}]})) == "BadRequest"


def test_locks_and_the_activity_log(instance, home):
    v = Vault(instance, home).make()
    lock = f"{v.id}/providers/Microsoft.Authorization/locks/keep"
    assert instance.arm("PUT", lock, {"properties": {"level": "ReadOnly"}},
                        api="2020-05-01").status_code == 201
    assert error(instance.arm("DELETE", v.id, api=VAULTS_API)) == "ScopeLocked"
    assert error(instance.arm("PUT", f"{v.id}/accessPolicies/add", {"properties": {
        "accessPolicies": []}}, api=VAULTS_API)) == "ScopeLocked"
    v.good("GET", "/secrets")
    instance.arm("DELETE", lock, api="2020-05-01")
    instance.arm("PUT", f"{v.id}/accessPolicies/add", {"properties": {"accessPolicies": []}},
                 api=VAULTS_API)
    v.delete()
    v.purge()
    told = instance.sql("control", "select operation_name, status from events where resource_key like "
                        f"'%/{v.name}' and operation_name like '%KeyVault%' order by at")
    assert [(what.removeprefix("Microsoft.KeyVault/"), status) for what, status in told] == [
        ("vaults/write", "Succeeded"), ("vaults/delete", "Failed"),
        ("vaults/accessPolicies/write", "Succeeded"), ("vaults/delete", "Succeeded"),
        ("locations/deletedVaults/purge/action", "Succeeded")]


# --- keys -------------------------------------------------------------------------------------------

def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def public(jwk):
    if jwk["kty"] == "RSA":
        return rsa.RSAPublicNumbers(int.from_bytes(unb64(jwk["e"]), "big"),
                                    int.from_bytes(unb64(jwk["n"]), "big")).public_key()
    curve = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1(),
             "P-256K": ec.SECP256K1()}[jwk["crv"]]
    return ec.EllipticCurvePublicNumbers(int.from_bytes(unb64(jwk["x"]), "big"),
                                         int.from_bytes(unb64(jwk["y"]), "big"), curve).public_key()


@pytest.fixture(scope="module")
def rsa_key(vault):
    return vault.good("POST", "/keys/Main/create", {"kty": "RSA"})["key"]


def use(vault, kid, what, **body):
    return vault.good("POST", f"{kid}/{what}", {
        k: b64(x) if isinstance(x, bytes) else x for k, x in body.items()})["value"]


@pytest.mark.parametrize("algorithm, hash_", [("RSA-OAEP", hashes.SHA1()),
                                              ("RSA-OAEP-256", hashes.SHA256())])
def test_rsa_opens_what_others_closed(vault, rsa_key, algorithm, hash_):
    assert set(rsa_key) == {"kid", "kty", "n", "e", "key_ops"}
    oaep = padding.OAEP(padding.MGF1(hash_), hash_, None)
    sealed = public(rsa_key).encrypt(b"data key", oaep)
    for what in ("decrypt", "unwrapkey"):
        assert unb64(use(vault, rsa_key["kid"], what, alg=algorithm, value=sealed)) == b"data key"
    for there, back in (("encrypt", "decrypt"), ("wrapkey", "unwrapkey")):
        sealed = unb64(use(vault, rsa_key["kid"], there, alg=algorithm, value=b"k"))
        assert unb64(use(vault, rsa_key["kid"], back, alg=algorithm, value=sealed)) == b"k"
    vault.refused(400, "BadParameter", "POST", f"{rsa_key['kid']}/decrypt",
                  {"alg": algorithm, "value": b64(b"x" * 256)})
    vault.refused(400, "BadParameter", "POST", f"{rsa_key['kid']}/encrypt",
                  {"alg": algorithm, "value": b64(b"x" * 512)})


@pytest.mark.parametrize("bits", [256, 384, 512])
@pytest.mark.parametrize("family", ["RS", "PS"])
def test_rsa_signatures(vault, rsa_key, family, bits):
    hash_ = {256: hashes.SHA256(), 384: hashes.SHA384(), 512: hashes.SHA512()}[bits]
    digest = hashlib.new(f"sha{bits}", b"message").digest()
    made = unb64(use(vault, rsa_key["kid"], "sign", alg=f"{family}{bits}", value=digest))
    pad = padding.PKCS1v15() if family == "RS" else \
        padding.PSS(padding.MGF1(hash_), hash_.digest_size)
    public(rsa_key).verify(made, b"message", pad, hash_)
    for value, verdict in ((made, True), (made[:-1] + bytes([made[-1] ^ 1]), False)):
        assert use(vault, rsa_key["kid"], "verify", alg=f"{family}{bits}", digest=digest,
                   value=value) is verdict
    vault.refused(400, "BadParameter", "POST", f"{rsa_key['kid']}/sign",
                  {"alg": f"{family}{bits}", "value": b64(b"short")})


@pytest.mark.parametrize("curve, algorithm, hash_", [
    ("P-256", "ES256", "sha256"), ("P-384", "ES384", "sha384"), ("P-521", "ES512", "sha512"),
    ("P-256K", "ES256K", "sha256")])
def test_curves(vault, curve, algorithm, hash_):
    key = vault.good("POST", f"/keys/{curve}/create", {"kty": "EC", "crv": curve})["key"]
    digest = hashlib.new(hash_, b"message").digest()
    made = unb64(use(vault, key["kid"], "sign", alg=algorithm, value=digest))
    half = len(made) // 2
    public(key).verify(
        encode_dss_signature(int.from_bytes(made[:half], "big"), int.from_bytes(made[half:], "big")),
        digest, ec.ECDSA(Prehashed(getattr(hashes, hash_.upper())())))
    assert use(vault, key["kid"], "verify", alg=algorithm, digest=digest, value=made) is True
    assert use(vault, key["kid"], "verify", alg=algorithm, digest=digest, value=made[1:]) is False
    vault.refused(400, "BadParameter", "POST", f"{key['kid']}/sign",
                  {"alg": "ES384" if algorithm != "ES384" else "ES256", "value": b64(digest)})
    vault.refused(403, "KeyOperationForbidden", "POST", f"{key['kid']}/encrypt",
                  {"alg": "RSA-OAEP", "value": b64(b"x")})


def test_life_of_a_key(vault):
    first = vault.good("POST", "/keys/turned/create", {"kty": "RSA", "key_size": 3072, "tags": {
        "a": "b"}, "key_ops": ["wrapKey", "unwrapKey"]})["key"]
    assert len(unb64(first["n"])) == 384 and first["key_ops"] == ["wrapKey", "unwrapKey"]
    second = vault.good("POST", "/keys/turned/rotate")
    assert second["tags"] == {"a": "b"} and second["key"]["key_ops"] == ["wrapKey", "unwrapKey"]
    assert len(unb64(second["key"]["n"])) == 384 and second["key"]["n"] != first["n"]
    assert vault.good("GET", "/keys/turned")["key"]["kid"] == second["key"]["kid"]
    assert [x["kid"] for x in vault.good("GET", "/keys/turned/versions")["value"]] == \
        [first["kid"], second["key"]["kid"]]
    sealed = unb64(use(vault, first["kid"], "wrapkey", alg="RSA-OAEP-256", value=b"k"))
    vault.good("PATCH", first["kid"], {"attributes": {"exp": 1600000000}})
    vault.refused(403, "ObjectIsDisabled", "POST", f"{first['kid']}/wrapkey",
                  {"alg": "RSA-OAEP-256", "value": b64(b"k")})
    assert unb64(use(vault, first["kid"], "unwrapkey", alg="RSA-OAEP-256", value=sealed)) == b"k"
    vault.good("PATCH", first["kid"], {"attributes": {"enabled": False}})
    vault.refused(403, "ObjectIsDisabled", "POST", f"{first['kid']}/unwrapkey",
                  {"alg": "RSA-OAEP-256", "value": b64(sealed)})
    gone = vault.good("DELETE", "/keys/turned")
    assert gone["recoveryId"] == f"{vault.url}/deletedkeys/turned"
    vault.refused(409, "ObjectIsDeletedButRecoverable", "POST", "/keys/turned/create",
                  {"kty": "EC"})
    vault.good("POST", "/deletedkeys/turned/recover")
    assert vault.good("GET", "/keys/turned")["key"]["n"] == second["key"]["n"]
    for bad in ({"kty": "oct"}, {"kty": "RSA", "key_size": 1024}, {"kty": "RSA-HSM"},
                {"kty": "EC", "crv": "P-1"}, {"kty": "EC", "key_ops": ["wrapKey"]}, {}):
        vault.refused(400, "BadParameter", "POST", "/keys/bad/create", bad)


def test_the_private_half_stays(instance, vault, rsa_key):
    for path in ("/keys/main", "/keys", "/keys/main/versions"):
        text = vault.call("GET", path).text
        assert not any(f'"{member}"' in text for member in ("d", "p", "q", "dp", "dq", "qi"))
    stored = instance.sql("control", "select string_agg(v::text, ' ') from vault_versions v")[0][0]
    assert "PRIVATE" not in stored
