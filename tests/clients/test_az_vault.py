"""az, unmodified: key vaults, their secrets and keys; and the SDKs for Python."""

import hashlib
import shutil
import uuid

import pytest

from support.az import Az
from support.instance import GROUPS_API
from support.vault import Vault

pytestmark = pytest.mark.skipif(shutil.which("az") is None, reason="az is not installed")


@pytest.fixture(scope="module")
def az(instance, tmp_path_factory):
    return Az(instance, tmp_path_factory.mktemp("az")).register_whole().sign_in()


def test_life_of_a_vault(az, instance, group):
    name = f"v{uuid.uuid4().hex[:10]}"
    made = az("keyvault", "create", "-g", group, "-n", name, "--enabled-for-template-deployment")
    assert made["properties"]["vaultUri"] == f"https://{name}.vault.{instance.domain}:{instance.port}/"
    assert made["properties"]["accessPolicies"][0]["permissions"]["secrets"] == ["all"]
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
