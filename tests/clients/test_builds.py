"""Builds and runs as clients drive them: sources go up and logs come down with az as it is and with the
storage library of the SDKs. Nothing runs here, and the log says so."""

import json
import os
import uuid

import pytest

from support import sdk
from support.az import KINDS, Az

STORAGE = "azure-storage-blob==12.26.0"
TASKS = "2019-06-01-preview"


@pytest.fixture(scope="module")
def home(instance):
    group = instance.make_group()
    yield instance.make_registry(group, f"b{uuid.uuid4().hex[:10]}", sku="Premium")
    instance.delete(instance.group_id(group), api="2024-11-01")


def asked(instance, path):
    reply = instance.arm("POST", path, api=TASKS)
    assert reply.status_code == 200, reply.text
    return reply.json()


def blobs(instance, *arguments):
    return json.loads(sdk.run([sdk.python(STORAGE), os.path.join(os.path.dirname(__file__), "sdk", "blobs.py"),
                               *map(str, arguments)], env=sdk.environment(instance)))


def sources(instance, registry):
    uid = instance.sql("control", f"select uid from resources where key = lower('{registry.id}')")[0][0]
    return os.path.join(instance.state, "regions", "eastus", "blobs", "sources", uid)


@pytest.mark.parametrize("size", [(0,), (1000,), (9 << 20, 1 << 20)], ids=["empty", "small", "blocks"])
def test_the_storage_library_uploads(instance, home, size):
    where = asked(instance, f"{home.id}/listBuildSourceUploadUrl")
    done = blobs(instance, "upload", where["uploadUrl"], *size)
    assert done["again"] == "BlobAlreadyExists" and done["etag"].startswith('"0x')
    name = where["relativePath"].rsplit("/", 1)[1].split(".")[0]
    with open(os.path.join(sources(instance, home), name, "list")) as f:
        assert len(f.read().split()) == (9 if len(size) == 2 else 1)


def test_the_storage_library_is_told_why_not(instance, home):
    url = asked(instance, f"{home.id}/listBuildSourceUploadUrl")["uploadUrl"]
    assert blobs(instance, "refused", url.replace("sig=", "sig=A")) == {
        "status": 403, "code": "AuthenticationFailed"}
    run = instance.arm("POST", f"{home.id}/scheduleRun", {
        "type": "EncodedTaskRunRequest", "encodedTaskContent": "eA==", "platform": {"os": "Linux"}},
        api=TASKS).json()
    link = asked(instance, f"{run['id']}/listLogSasUrl")["logLink"]
    assert blobs(instance, "refused", link)["code"] == "AuthorizationPermissionMismatch"
    log = blobs(instance, "log", link)
    assert log["same"] and log["exists"] and log["type"] == "AppendBlob"
    assert {k.lower(): v for k, v in log["metadata"].items()} == {"complete": "failed"}
    assert "no build workers" in log["text"]


@pytest.fixture(scope="module", params=KINDS)
def az(request, instance, tmp_path_factory):
    it = Az(instance, tmp_path_factory.mktemp("az"), request.param)
    it.env["AZURE_CORE_ONLY_SHOW_ERRORS"] = "no"
    return it.register().sign_in()


def ran(az, *arguments):
    """Whatever comes of it: the code, and all that is said."""
    done = az.run(arguments)
    return done["code"], done["out"] + done["err"]


def test_a_build_ends_with_its_log(az, instance, home, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY data /\n")
    (tmp_path / "data").write_bytes(os.urandom(200000))
    folder = sources(instance, home)
    was = set(os.listdir(folder)) if os.path.exists(folder) else set()
    code, said = ran(az, "acr", "build", "-r", home.name, "-t", "x:v1", str(tmp_path))
    assert code != 0 and "Run failed" in said, said
    assert "Queued a build with ID" in said and "no build workers" in said and ": Failed." in said
    (name,) = set(os.listdir(folder)) - was
    with open(os.path.join(folder, name, "list")) as f:
        (block,) = f.read().split()
    assert os.path.getsize(os.path.join(folder, name, block)) > 200000


def test_a_log_is_read_again(az, instance, home, tmp_path):
    (tmp_path / "task.yaml").write_text("version: v1.1.0\nsteps:\n  - cmd: $Registry/x\n")
    code, said = ran(az, "acr", "run", "-r", home.name, "-f", "task.yaml", str(tmp_path))
    assert code != 0 and "Run failed" in said and "no build workers" in said, said
    last = az("acr", "task", "list-runs", "-r", home.name, "--top", "1")[0]
    code, said = ran(az, "acr", "task", "logs", "-r", home.name, "--run-id", last["runId"])
    assert code == 0 and f"Run {last['runId']}: Failed." in said, said
