"""Key vaults: keys that are brought, backups of keys and secrets, and keys that rotate by themselves."""

import base64
import datetime
import hashlib
import uuid

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from support.directory import Directory, assign
from support.instance import eventually
from support.vault import Vault, own_object_id

pytestmark = pytest.mark.sanitized

CRYPTO_USER = "12338af0-0e69-4776-bea7-57ae8d297424"
DAY = 86400


@pytest.fixture(scope="module")
def vault(instance, home):
    return Vault(instance, home).make()


def number(n):
    return base64.urlsafe_b64encode(n.to_bytes((n.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()


def jwk(key):
    """The private half, as RFC 7518 spells it."""
    n = key.private_numbers()
    p = n.public_numbers
    if isinstance(key, rsa.RSAPrivateKey):
        return {"kty": "RSA", "n": number(p.n), "e": number(p.e), "d": number(n.d), "p": number(n.p),
                "q": number(n.q), "dp": number(n.dmp1), "dq": number(n.dmq1), "qi": number(n.iqmp)}
    names = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "secp256k1": "P-256K"}
    return {"kty": "EC", "crv": names[key.curve.name], "x": number(p.x), "y": number(p.y),
            "d": number(n.private_value)}


def signature(vault, kid, algorithm="RS256"):
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"message").digest()).decode()
    made = vault.good("POST", f"{kid}/sign", {"alg": algorithm, "value": digest})["value"]
    return base64.urlsafe_b64decode(made + "==")


# --- keys that are brought ------------------------------------------------------------------------

def test_import(vault):
    mine = rsa.generate_private_key(65537, 2048)
    made = vault.good("PUT", "/keys/mine", {"key": {**jwk(mine), "key_ops": ["sign"]}, "tags": {"a": "b"},
                                            "attributes": {"exp": 4000000000}})
    assert made["key"]["n"] == jwk(mine)["n"] and made["key"]["key_ops"] == ["sign"]
    assert not {"d", "p", "q", "dp", "dq", "qi"} & set(made["key"])
    assert made["tags"] == {"a": "b"} and made["attributes"]["exp"] == 4000000000
    mine.public_key().verify(signature(vault, made["key"]["kid"]), b"message", padding.PKCS1v15(),
                             hashes.SHA256())
    vault.refused(403, "KeyOperationForbidden", "POST", f"{made['key']['kid']}/encrypt",
                  {"alg": "RSA-OAEP", "value": "eA"})
    # A name that is there gets another version; what is made of it by rotating is of its kind.
    curve = ec.generate_private_key(ec.SECP384R1())
    again = vault.good("PUT", "/keys/mine", {"key": jwk(curve)})
    assert again["key"]["crv"] == "P-384" and again["key"]["key_ops"] == ["sign", "verify"]
    assert len(vault.good("GET", "/keys/mine/versions")["value"]) == 2
    assert vault.good("POST", "/keys/mine/rotate")["key"]["crv"] == "P-384"


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP521R1, ec.SECP256K1])
def test_import_of_curves(vault, curve):
    key = ec.generate_private_key(curve())
    name = f"/keys/c{uuid.uuid4().hex[:8]}"
    shown = vault.good("PUT", name, {"key": jwk(key)})["key"]
    bytes_of = (key.curve.key_size + 7) // 8
    x = int.from_bytes(base64.urlsafe_b64decode(shown["x"] + "=="), "big")
    assert x == key.private_numbers().public_numbers.x
    assert len(base64.urlsafe_b64decode(shown["x"] + "==")) == bytes_of


def test_import_refuses(vault):
    mine, other = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    whole, curve = jwk(mine), jwk(ec.generate_private_key(ec.SECP256R1()))
    for bad in ({}, {"kty": "oct", "k": "eA"}, {"kty": "RSA-HSM", **{k: v for k, v in whole.items() if k != "kty"}},
                {k: v for k, v in whole.items() if k != "d"}, {k: v for k, v in whole.items() if k != "qi"},
                {**whole, "d": jwk(other)["d"]}, {**whole, "p": jwk(other)["p"]}, {**whole, "n": 7},
                jwk(rsa.generate_private_key(65537, 1024)), {**curve, "crv": "P-384"},
                {**curve, "d": whole["e"]}, {**curve, "x": curve["y"]},
                {**whole, "key_ops": ["deriveKey"]}):
        vault.refused(400, "BadParameter", "PUT", "/keys/never", {"key": bad})
    vault.refused(400, "BadParameter", "PUT", "/keys/never", {"key": "x"})
    vault.refused(400, "BadParameter", "PUT", "/keys/never", {"key": whole, "Hsm": True})
    vault.refused(404, "KeyNotFound", "GET", "/keys/never")


# --- backups --------------------------------------------------------------------------------------

def test_a_secret_comes_back_from_its_backup(instance, home, vault):
    first = vault.good("PUT", "/secrets/Kept", {"value": "one", "contentType": "text/plain",
                                                "attributes": {"exp": 4000000000}, "tags": {"a": "b"}})
    vault.good("PUT", "/secrets/kept", {"value": "two"})
    vault.good("PATCH", first["id"], {"attributes": {"enabled": False}})
    was = vault.good("GET", "/secrets/kept/versions")["value"]
    backup = vault.good("POST", "/secrets/kept/backup")
    blob = base64.urlsafe_b64decode(backup["value"] + "==")
    assert blob.startswith(b"PSEAL1") and b"one" not in blob and b"Kept" not in blob
    # There is one already, and a deleted one is no room.
    vault.refused(409, "ObjectAlreadyExists", "POST", "/secrets/restore", backup)
    vault.good("DELETE", "/secrets/kept")
    vault.refused(409, "ObjectAlreadyExists", "POST", "/secrets/restore", backup)
    vault.good("DELETE", "/deletedsecrets/kept", status=204)
    back = vault.good("POST", "/secrets/restore", backup)
    assert "value" not in back and back["id"] == was[1]["id"]
    assert vault.good("GET", "/secrets/kept/versions")["value"] == was
    assert vault.good("GET", "/secrets/kept")["value"] == "two"
    vault.refused(403, "ObjectIsDisabled", "GET", first["id"])
    # Another vault of the subscription takes it too, and the two go their ways.
    other = Vault(instance, home).make()
    copy = other.good("POST", "/secrets/restore", backup)["id"]
    assert copy == was[1]["id"].replace(vault.url, other.url)
    other.good("PATCH", copy, {"tags": {"of": "other"}})
    assert other.good("GET", copy)["value"] == "two"
    assert "tags" not in vault.good("GET", was[1]["id"])
    assert other.good("GET", copy)["tags"] == {"of": "other"}
    assert other.good("PUT", "/secrets/kept", {"value": "three"})["id"] != copy
    assert len(vault.good("GET", "/secrets/kept/versions")["value"]) == 2


def test_a_key_comes_back_from_its_backup(vault):
    made = vault.good("POST", "/keys/pen/create", {"kty": "RSA"})
    vault.good("PUT", "/keys/pen/rotationpolicy", policy("P90D"))
    vault.good("POST", "/keys/pen/rotate")
    pen = signature(vault, made["key"]["kid"])
    backup = vault.good("POST", "/keys/pen/backup")
    vault.good("DELETE", "/keys/pen")
    vault.good("DELETE", "/deletedkeys/pen", status=204)
    vault.good("POST", "/keys/restore", backup)
    assert len(vault.good("GET", "/keys/pen/versions")["value"]) == 2
    assert signature(vault, made["key"]["kid"]) == pen
    assert vault.good("GET", "/keys/pen/rotationpolicy")["lifetimeActions"] == policy("P90D")["lifetimeActions"]


def test_what_is_no_backup(instance, vault):
    vault.good("PUT", "/secrets/one", {"value": "x" * 25000})
    for i in range(5):  # more than a chunk
        vault.good("PUT", "/secrets/one", {"value": str(i) * 25000})
    good = vault.good("POST", "/secrets/one/backup")["value"]
    blob = bytearray(base64.urlsafe_b64decode(good + "=="))
    assert len(blob) > 2 * 65536
    places = [0, 8, 20, 40, 100, 65536, 70000, len(blob) - 1]
    broken = [bytes(blob[:i]) + bytes([blob[i] ^ 1]) + bytes(blob[i + 1:]) for i in places]
    broken += [bytes(blob[:cut]) for cut in (0, 39, 40, 56, 57, 40 + 65552, len(blob) - 1)]
    broken += [bytes(blob) + b"x", b"x" * 200]
    for bad in broken:
        vault.refused(400, "BadParameter", "POST", "/secrets/restore",
                      {"value": base64.urlsafe_b64encode(bad).decode().rstrip("=")})
    for body in ({}, {"value": None}, {"value": "%%%"}, {"value": 7}):
        vault.refused(400, "BadParameter", "POST", "/secrets/restore", body)
    vault.refused(400, "BadParameter", "POST", "/keys/restore", {"value": good})
    vault.refused(404, "SecretNotFound", "POST", "/secrets/nothing/backup")
    vault.refused(404, "KeyNotFound", "POST", "/keys/nothing/backup")


def test_a_backup_stays_in_its_subscription(instance, vault, home):
    vault.good("PUT", "/secrets/bound", {"value": "x"})
    backup = vault.good("POST", "/secrets/bound/backup")
    other = Vault(instance, home).make()
    foreign = str(uuid.uuid4())
    instance.sql("control", "insert into subscriptions (id, tenant_id, display_name) select "
                            f"'{foreign}', tenant_id, 'foreign' from subscriptions limit 1")
    mine = instance.subscription
    instance.sql("control", f"update resources set subscription_id = '{foreign}' where global_name = '{other.name}'")
    other.refused(400, "BadParameter", "POST", "/secrets/restore", backup)
    instance.sql("control", f"update resources set subscription_id = '{mine}' where global_name = '{other.name}'")
    instance.sql("control", f"delete from subscriptions where id = '{foreign}'")
    other.good("POST", "/secrets/restore", backup)


def test_rights_of_keeping(instance, home):
    """Each by its own name, of policies and of roles."""
    v = Vault(instance, home).make()
    blob = (v.good("POST", "/keys/k/create", {"kty": "EC"}), v.good("POST", "/keys/k/backup"))[1]
    me = own_object_id(instance)
    key = {"key": jwk(ec.generate_private_key(ec.SECP256R1()))}
    calls = [("import", "PUT", "/keys/n", key), ("backup", "POST", "/keys/k/backup", None),
             ("restore", "POST", "/keys/restore", blob),
             ("getrotationpolicy", "GET", "/keys/k/rotationpolicy", None),
             ("setrotationpolicy", "PUT", "/keys/k/rotationpolicy", policy("P90D"))]
    for granted in [None, *(right for right, *_ in calls)]:
        v.make(accessPolicies=[v.policy(me, keys=[granted] if granted else ["get"])])
        for right, method, path, body in calls:
            status = v.call(method, path, body).status_code
            assert (status == 403) == (right != granted), (granted, right, status)
    v.make(enableRbacAuthorization=True)
    app = Directory(instance).application()
    assign(instance, app.object_id, CRYPTO_USER, v.id)
    token = app.token(scope=v.scope)
    eventually(lambda: v.call("GET", "/keys/k", token=token).status_code == 200)
    assert {right: v.call(method, path, body, token=token).status_code
            for right, method, path, body in calls} == {
        "import": 403, "backup": 200, "restore": 403, "getrotationpolicy": 403, "setrotationpolicy": 403}


# --- rotation -------------------------------------------------------------------------------------

def policy(after=None, before=None, expiry=None, notify=None):
    actions = []
    if after or before:
        actions.append({"trigger": {"timeAfterCreate": after} if after else {"timeBeforeExpiry": before},
                        "action": {"type": "Rotate"}})
    if notify:
        actions.append({"trigger": {"timeBeforeExpiry": notify}, "action": {"type": "Notify"}})
    return {"lifetimeActions": actions, "attributes": {"expiryTime": expiry} if expiry else {}}


def test_policies(vault):
    vault.good("POST", "/keys/turning/create", {"kty": "EC"})
    at = "/keys/turning/rotationpolicy"
    shown = vault.good("GET", at)
    assert shown == {"id": f"{vault.url}{at}", "attributes": {}, "lifetimeActions": [
        {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}}]}
    wanted = policy("P2M", expiry="P1Y10D", notify="P30D")
    wanted["lifetimeActions"][0]["action"]["type"] = "rotate"
    made = vault.good("PUT", at, wanted)
    assert made["lifetimeActions"] == policy("P2M", notify="P30D")["lifetimeActions"]
    assert made["attributes"]["expiryTime"] == "P1Y10D" and made["attributes"]["created"]
    assert vault.good("GET", at) == made
    # What is made now expires after the policy's time.
    exp = vault.good("POST", "/keys/turning/rotate")["attributes"]["exp"]
    today = datetime.datetime.now(datetime.timezone.utc)
    year = today.replace(year=today.year + 1) if (today.month, today.day) != (2, 29) else today
    assert abs(exp - (year.timestamp() + 10 * DAY)) < 3 * DAY
    for bad in (policy("P6D"), policy(before="P6D"), policy("P30D", expiry="P27D"), policy("P25D", expiry="P28D"),
                policy("90 days"), policy("P"), policy("PT"), policy("P30D; drop"), policy("P1D2Y"),
                {"lifetimeActions": policy("P30D")["lifetimeActions"] * 2},
                {"lifetimeActions": policy("P30D", notify="P30D")["lifetimeActions"] * 2},
                {"lifetimeActions": [{"trigger": {}, "action": {"type": "Rotate"}}]},
                {"lifetimeActions": [{"trigger": {"timeAfterCreate": "P30D"}, "action": {"type": "Notify"}}]},
                {"lifetimeActions": [{"trigger": {"timeAfterCreate": "P30D", "timeBeforeExpiry": "P30D"},
                                      "action": {"type": "Rotate"}}]},
                {"lifetimeActions": [{"trigger": {"timeAfterCreate": "P30D"}, "action": {"type": "Burn"}}]},
                {"lifetimeActions": "x"}, {"attributes": {"expiryTime": 7}}):
        vault.refused(400, "BadParameter", "PUT", at, bad)
    assert vault.good("GET", at) == made
    vault.refused(404, "KeyNotFound", "GET", "/keys/nothing/rotationpolicy")
    vault.refused(404, "KeyNotFound", "PUT", "/keys/nothing/rotationpolicy", wanted)


def age(instance, kid, days):
    """Makes a version so many days older."""
    instance.sql("control", "update vault_versions set created_at = created_at - "
                            f"interval '{days} days' where uid = '{uuid.UUID(kid.rsplit('/', 1)[1])}'")


def test_a_key_rotates_by_itself(own_instance):
    v = Vault(own_instance, own_instance.make_group()).make()

    def make(name, **attributes):
        return v.good("POST", f"/keys/{name}/create", {"kty": "EC", "tags": {"a": "b"}, "attributes": attributes})[
            "key"]["kid"]

    def versions(name):
        return len(v.good("GET", f"/keys/{name}/versions")["value"])
    now = int(datetime.datetime.now().timestamp())
    made = {name: make(name) for name in ("old", "young", "gone", "unasked")}
    made["ending"] = make("ending", exp=now + 20 * DAY)
    made["later"] = make("later", exp=now + 60 * DAY)
    for name in ("old", "young", "gone"):
        v.good("PUT", f"/keys/{name}/rotationpolicy", policy("P30D", expiry="P60D"))
    for name in ("ending", "later"):
        v.good("PUT", f"/keys/{name}/rotationpolicy", policy(before="P30D"))
    for name, days in (("old", 31), ("young", 29), ("gone", 31), ("unasked", 99)):
        age(own_instance, made[name], days)
    v.good("DELETE", "/keys/gone")
    own_instance.stop("controlplane")
    own_instance.start("controlplane")  # it looks when it starts, and then every ten minutes
    eventually(lambda: versions("old") == 2 and versions("ending") == 2)
    shown = v.good("GET", "/keys/old")
    assert shown["tags"] == {"a": "b"} and shown["key"]["kid"] != made["old"]
    assert abs(shown["attributes"]["exp"] - (now + 60 * DAY)) < DAY
    assert "exp" not in v.good("GET", "/keys/ending")["attributes"]
    assert [versions(name) for name in ("young", "unasked", "later")] == [1, 1, 1]
    v.good("POST", "/deletedkeys/gone/recover")
    assert versions("gone") == 1
    assert own_instance.sql("control", "select count(*) from vault_objects where rotate_at <= now()") == [["1"]]
