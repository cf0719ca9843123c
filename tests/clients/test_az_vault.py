"""az, unmodified: key vaults, their rules, secrets and keys; tags and moves; the SDKs of vaults for
Python."""

import base64
import hashlib
import json
import uuid

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from support.az import KINDS, Az, newest_only
from support.instance import GROUPS_API
from support.vault import Vault


@pytest.fixture(scope="module", params=KINDS)
def az(instance, tmp_path_factory, request):
    return Az(instance, tmp_path_factory.mktemp("az"), request.param).register_whole().sign_in()


def test_life_of_a_vault(az, instance, group):
    name = f"v{uuid.uuid4().hex[:10]}"
    made = az("keyvault", "create", "-g", group, "-n", name, "--enabled-for-template-deployment",
              "--enable-rbac-authorization", "false")
    assert made["properties"]["vaultUri"] == f"https://{name}.vault.{instance.domain}:{instance.port}/"
    assert made["properties"]["accessPolicies"][0]["permissions"]["secrets"] == ["all"]
    az("keyvault", "wait", "-g", group, "-n", name, "--exists", "--timeout", "9", "--interval", "1")
    assert az("keyvault", "show", "-n", name)["id"] == made["id"]
    assert name in [x["name"] for x in az("keyvault", "list", "-g", group)]
    az("keyvault", "set-policy", "-n", name, "--object-id", instance.tenant,
       "--secret-permissions", "get", "list")
    shown = az("keyvault", "show", "-n", name)["properties"]["accessPolicies"]
    assert ["get", "list"] in [sorted(x["permissions"]["secrets"]) for x in shown]
    az("keyvault", "delete-policy", "-n", name, "--object-id", instance.tenant)
    az("keyvault", "update", "-n", name, "--set", "tags.a=b")
    az("keyvault", "delete", "-n", name)
    assert name in [x["name"] for x in az("keyvault", "list-deleted")]
    assert az("keyvault", "show-deleted", "-n", name)["properties"]["vaultId"] == made["id"]
    assert az("keyvault", "recover", "-n", name)["tags"] == {"a": "b"}
    az("keyvault", "delete", "-n", name)
    az("keyvault", "purge", "-n", name)
    assert name not in [x["name"] for x in az("keyvault", "list-deleted")]


@pytest.fixture(scope="module")
def vault(az, instance):
    group, name = instance.make_group(), f"v{uuid.uuid4().hex[:10]}"
    access = ["--enable-rbac-authorization", "false"]
    az("keyvault", "create", "-g", group, "-n", name, *access)
    oid = az("keyvault", "show", "-n", name)["properties"]["accessPolicies"][0]["objectId"]
    az("keyvault", "set-policy", "-n", name, "--object-id", oid, "--secret-permissions", "all",
       "purge", "--key-permissions", "all", "purge")
    yield name
    instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)


def test_rules_of_a_vault(az, vault):
    at = ["-n", vault, "--ip-address", "192.0.2.0/24"]
    az("keyvault", "network-rule", "add", *at)
    rules = az("keyvault", "network-rule", "list", "-n", vault)["ipRules"]
    assert [r["value"] for r in rules] == ["192.0.2.0/24"]
    az("keyvault", "network-rule", "remove", *at)
    assert az("keyvault", "network-rule", "list", "-n", vault)["ipRules"] == []
    az("keyvault", "network-rule", "wait", "-n", vault, "--exists", "--timeout", "9", "--interval", "1")


@newest_only
def test_secrets(az, vault, tmp_path):
    within, at = ["--vault-name", vault], ["--vault-name", vault, "-n", "word"]
    made = az("keyvault", "secret", "set", *at, "--value", "open sesame")
    assert az("keyvault", "secret", "show", *at)["value"] == "open sesame"
    assert [x["name"] for x in az("keyvault", "secret", "list", *within)] == ["word"]
    assert [x["id"] for x in az("keyvault", "secret", "list-versions", *at)] == [made["id"]]
    assert az("keyvault", "secret", "set-attributes", *at, "--content-type", "x")["contentType"] == "x"
    az("keyvault", "secret", "download", *at, "-f", str(tmp_path / "word"))
    assert (tmp_path / "word").read_text() == "open sesame"
    kept = str(tmp_path / "kept")
    az("keyvault", "secret", "backup", *at, "-f", kept)
    az("keyvault", "secret", "delete", *at)
    assert [x["name"] for x in az("keyvault", "secret", "list-deleted", *within)] == ["word"]
    assert az("keyvault", "secret", "show-deleted", *at)["name"] == "word"
    az("keyvault", "secret", "recover", *at)
    az("keyvault", "secret", "delete", *at)
    az("keyvault", "secret", "purge", *at)
    assert az("keyvault", "secret", "list-deleted", *within) == []
    assert az("keyvault", "secret", "restore", *within, "-f", kept)["id"] == made["id"]
    assert az("keyvault", "secret", "show", *at)["value"] == "open sesame"
    az("keyvault", "secret", "delete", *at)


@newest_only
def test_keys(az, vault, tmp_path):
    within, at = ["--vault-name", vault], ["--vault-name", vault, "-n", "box"]
    made = az("keyvault", "key", "create", *at, "--kty", "RSA")["key"]["kid"]
    assert az("keyvault", "key", "show", *at)["key"]["kid"] == made
    assert [x["name"] for x in az("keyvault", "key", "list", *within)] == ["box"]
    assert [x["kid"] for x in az("keyvault", "key", "list-versions", *at)] == [made]
    assert az("keyvault", "key", "set-attributes", *at, "--tags", "a=b")["tags"] == {"a": "b"}
    way = ["-a", "RSA-OAEP-256"]
    sealed = az("keyvault", "key", "encrypt", *at, *way, "--value", "aGVsbG8=")["result"]
    assert az("keyvault", "key", "decrypt", *at, *way, "--value", sealed)["result"] == "aGVsbG8="
    digest = ["-a", "RS256", "--digest", base64.b64encode(b"1234" * 8).decode()]
    pen = az("keyvault", "key", "sign", *at, *digest)["signature"]
    assert az("keyvault", "key", "verify", *at, *digest, "--signature", pen)["isValid"] is True
    assert az("keyvault", "key", "rotate", *at)["key"]["kid"] != made
    az("keyvault", "key", "download", *at, "-f", str(tmp_path / "box.pem"))
    assert "PUBLIC KEY" in (tmp_path / "box.pem").read_text()
    kept = str(tmp_path / "kept")
    az("keyvault", "key", "backup", *at, "-f", kept)
    az("keyvault", "key", "delete", *at)
    assert [x["name"] for x in az("keyvault", "key", "list-deleted", *within)] == ["box"]
    assert az("keyvault", "key", "show-deleted", *at)["key"]["kid"]
    az("keyvault", "key", "recover", *at)
    az("keyvault", "key", "delete", *at)
    az("keyvault", "key", "purge", *at)
    assert az("keyvault", "key", "list-deleted", *within) == []
    az("keyvault", "key", "restore", *within, "-f", kept)
    assert made in [x["kid"] for x in az("keyvault", "key", "list-versions", *at)]
    assert az("keyvault", "key", "decrypt", *at, *way, "--value", sealed, "--version",
              made.rsplit("/", 1)[1])["result"] == "aGVsbG8="
    az("keyvault", "key", "delete", *at)


def pem(key, *way):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             *way or [serialization.NoEncryption()])


@newest_only
def test_keys_that_are_brought(az, vault, tmp_path):
    mine, file = rsa.generate_private_key(65537, 2048), tmp_path / "mine.pem"
    file.write_bytes(pem(mine, serialization.BestAvailableEncryption(b"over here")))
    made = az("keyvault", "key", "import", "--vault-name", vault, "-n", "mine", "--pem-file", str(file),
              "--pem-password", "over here", "--ops", "sign", "verify")
    modulus = base64.b64decode(made["key"]["n"] + "==")
    assert int.from_bytes(modulus, "big") == mine.public_key().public_numbers().n
    assert made["key"]["keyOps"] == ["sign", "verify"]
    curve = ec.generate_private_key(ec.SECP256R1())
    made = az("keyvault", "key", "import", "--vault-name", vault, "-n", "curve", "--pem-string",
              pem(curve).decode())
    assert made["key"]["crv"] == "P-256"


@newest_only
def test_rotation_of_keys(az, vault, tmp_path):
    at, file = ["--vault-name", vault, "-n", "turning"], tmp_path / "policy.json"
    az("keyvault", "key", "create", *at, "--kty", "EC")
    file.write_text(json.dumps({"lifetimeActions": [
        {"trigger": {"timeAfterCreate": "P90D", "timeBeforeExpiry": None}, "action": {"type": "Rotate"}},
        {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}}],
        "attributes": {"expiryTime": "P2Y"}}))
    made = az("keyvault", "key", "rotation-policy", "update", *at, "--value", str(file))
    assert made["expiresIn"] == "P2Y" and len(made["lifetimeActions"]) == 2
    assert az("keyvault", "key", "rotation-policy", "show", *at)["lifetimeActions"] == made["lifetimeActions"]
    assert az("keyvault", "key", "get-policy-template")["version"] == "1.0.0"


@newest_only
def test_a_registry_under_a_key(az, instance, vault, group):
    who = az("identity", "create", "-g", group, "-n", "holder")
    az("keyvault", "set-policy", "-n", vault, "--object-id", who["principalId"], "--key-permissions",
       "get", "wrapKey", "unwrapKey")
    keys = [az("keyvault", "key", "create", "--vault-name", vault, "-n", name)["key"]["kid"]
            for name in (f"k{uuid.uuid4().hex[:6]}", f"k{uuid.uuid4().hex[:6]}")]
    name = f"az{uuid.uuid4().hex[:10]}"
    made = az("acr", "create", "-g", group, "-n", name, "--sku", "Premium", "--identity", who["id"],
              "--key-encryption-key", keys[0])
    assert made["encryption"]["status"] == "enabled"
    az("acr", "encryption", "rotate-key", "-n", name, "--key-encryption-key", keys[1], "--identity",
       who["id"])
    shown = az("acr", "encryption", "show", "-n", name)
    assert shown["keyVaultProperties"]["keyIdentifier"] == keys[1]


@pytest.fixture(scope="module")
def sdk(instance):
    """What az of later versions, and applications, reach a vault by."""
    identity = pytest.importorskip("azure.identity")
    pytest.importorskip("azure.keyvault.secrets")
    pytest.importorskip("azure.keyvault.keys")
    name = instance.make_group()
    vault = Vault(instance, name).make()
    options = {"connection_verify": instance.ca}
    credential = identity.ClientSecretCredential(
        instance.tenant, instance.env["AZURE_CLIENT_ID"], instance.env["AZURE_CLIENT_SECRET"],
        authority=instance.login, disable_instance_discovery=True,
        instance_discovery=False, **options)  # the name it had before
    yield vault, credential, options
    instance.arm("DELETE", instance.group_id(name), api=GROUPS_API)


def test_sdk_secrets(sdk):
    from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
    from azure.keyvault.secrets import SecretClient
    vault, credential, options = sdk
    client = SecretClient(vault.url, credential, **options)
    made = client.set_secret("word", "open sesame", content_type="text/plain", tags={"a": "b"})
    assert client.get_secret("word").value == "open sesame"
    client.set_secret("word", "changed")
    assert client.get_secret("word", made.properties.version).value == "open sesame"
    assert [x.version for x in client.list_properties_of_secret_versions("word")][0] == \
        made.properties.version
    client.update_secret_properties("word", made.properties.version, enabled=False)
    with pytest.raises(HttpResponseError):
        client.get_secret("word", made.properties.version)
    for i in range(30):
        client.set_secret(f"many-{i}", "x")
    assert len([x for x in client.list_properties_of_secrets() if x.name.startswith("many")]) == 30
    client.begin_delete_secret("word").wait()
    with pytest.raises(ResourceNotFoundError):
        client.get_secret("word")
    assert "word" in [x.name for x in client.list_deleted_secrets()]
    client.begin_recover_deleted_secret("word").wait()
    assert client.get_secret("word").value == "changed"
    client.begin_delete_secret("word").wait()
    client.purge_deleted_secret("word")
    with pytest.raises(ResourceNotFoundError):
        client.get_deleted_secret("word")


def test_sdk_keys(sdk):
    from azure.keyvault.keys import KeyClient
    from azure.keyvault.keys.crypto import (CryptographyClient, EncryptionAlgorithm,
                                            KeyWrapAlgorithm, SignatureAlgorithm)
    vault, credential, options = sdk
    client = KeyClient(vault.url, credential, **options)
    key = client.create_rsa_key("box", size=2048)
    work = CryptographyClient(key, credential, **options)
    sealed = work.encrypt(EncryptionAlgorithm.rsa_oaep_256, b"text").ciphertext
    assert work.decrypt(EncryptionAlgorithm.rsa_oaep_256, sealed).plaintext == b"text"
    wrapped = work.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, b"k" * 32).encrypted_key
    assert work.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped).key == b"k" * 32
    curve = client.create_ec_key("pen", curve="P-256")
    digest = hashlib.sha256(b"message").digest()
    pen = CryptographyClient(curve, credential, **options)
    made = pen.sign(SignatureAlgorithm.es256, digest).signature
    assert pen.verify(SignatureAlgorithm.es256, digest, made).is_valid
    assert client.rotate_key("box").properties.version != key.properties.version
    assert len(list(client.list_properties_of_key_versions("box"))) == 2
    assert {x.name for x in client.list_properties_of_keys()} == {"box", "pen"}
    client.begin_delete_key("pen").wait()
    client.begin_recover_deleted_key("pen").wait()
    client.begin_delete_key("pen").wait()
    client.purge_deleted_key("pen")


def test_tags(az, instance, group):
    scope = instance.group_id(group)
    az("tag", "create", "--resource-id", scope, "--tags", "a=1", "b=2")
    az("tag", "update", "--resource-id", scope, "--operation", "Merge", "--tags", "b=3")
    assert az("tag", "list", "--resource-id", scope)["properties"]["tags"] == {"a": "1", "b": "3"}
    assert az("group", "show", "-n", group)["tags"] == {"a": "1", "b": "3"}
    az("tag", "delete", "--resource-id", scope, "--yes")
    name = f"n{uuid.uuid4().hex[:8]}"
    az("tag", "create", "-n", name)
    az("tag", "add-value", "-n", name, "--value", "v")
    assert name in [x["tagName"] for x in az("tag", "list")]
    az("tag", "remove-value", "-n", name, "--value", "v")
    az("tag", "delete", "-n", name, "--yes")


def test_move(az, instance, group):
    target = instance.make_group()
    made = az("identity", "create", "-g", group, "-n", "moved")
    az("resource", "move", "--destination-group", target, "--ids", made["id"])
    assert az("identity", "show", "-g", target, "-n", "moved")["principalId"] == made["principalId"]
