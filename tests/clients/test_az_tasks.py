"""az, unmodified: tasks with their timers, credentials and identities; runs, task runs, agent pools; the
policies of a registry, and what az says of its health."""

import uuid

import pytest

from support.az import KINDS, Az

TASKS = "2019-06-01-preview"


@pytest.fixture(scope="module", params=KINDS)
def az(instance, tmp_path_factory, request):
    return Az(instance, tmp_path_factory.mktemp("az"), request.param).register_whole().sign_in()


@pytest.fixture
def task(az, home):
    at = ["-r", home.name, "-n", f"t{uuid.uuid4().hex[:8]}"]
    az("acr", "task", "create", *at, "--cmd", "app", "--context", "/dev/null", "--schedule",
       "first:0 1 * * *")
    yield at
    az("acr", "task", "delete", *at, "--yes")


def timers(az, task):
    return {t["name"]: (t["schedule"], t["status"])
            for t in az("acr", "task", "timer", "list", *task)}


def test_tasks(az, home, task):
    shown = az("acr", "task", "show", *task)
    assert shown["step"]["type"] == "EncodedTask" and shown["status"] == "Enabled"
    assert az("acr", "task", "show", *task, "--with-secure-properties")["id"] == shown["id"]
    assert az("acr", "task", "update", *task, "--status", "Disabled")["status"] == "Disabled"
    assert timers(az, task) == {"first": ("0 1 * * *", "Enabled")}
    assert [t["name"] for t in az("acr", "task", "list", "-r", home.name)] == [task[3]]


def test_timers(az, task):
    az("acr", "task", "timer", "add", *task, "--timer-name", "second", "--schedule", "30 9 * * 1-5")
    first = ("0 1 * * *", "Enabled")
    assert timers(az, task) == {"first": first, "second": ("30 9 * * 1-5", "Enabled")}
    az("acr", "task", "timer", "update", *task, "--timer-name", "second", "--enabled", "false")
    az("acr", "task", "timer", "update", *task, "--timer-name", "second", "--schedule", "1 1 1 1 *")
    assert timers(az, task) == {"first": first, "second": ("1 1 1 1 *", "Disabled")}
    az("acr", "task", "timer", "remove", *task, "--timer-name", "first")
    assert timers(az, task) == {"second": ("1 1 1 1 *", "Disabled")}


def test_credentials_of_a_task(az, task):
    at = [*task, "--login-server", "other.example"]
    az("acr", "task", "credential", "add", *at, "-u", "me", "-p", "secret")
    az("acr", "task", "credential", "update", *at, "-u", "you", "-p", "other")
    assert az("acr", "task", "credential", "list", *task).keys() == {"other.example"}
    az("acr", "task", "credential", "remove", *at)
    assert az("acr", "task", "credential", "list", *task) == {}


def test_identities_of_a_task(az, home, task):
    mine = az("identity", "create", "-g", home.group, "-n", f"i{uuid.uuid4().hex[:8]}")
    az("acr", "task", "identity", "assign", *task)
    shown = az("acr", "task", "identity", "show", *task)
    assert shown["type"] == "SystemAssigned" and shown["principalId"]
    az("acr", "task", "identity", "assign", *task, "--identities", "[system]", mine["id"])
    shown = az("acr", "task", "identity", "show", *task)
    assert [x.lower() for x in shown["userAssignedIdentities"]] == [mine["id"].lower()]
    if az.kind == "newest":  # Debian's looks for models that its own library does not have
        az("acr", "task", "identity", "remove", *task, "--identities", "[all]")
        assert not (az("acr", "task", "identity", "show", *task) or {}).get("principalId")


def test_runs(az, home, task):
    at = ["-r", home.name]
    run = az("acr", "task", "run", *task, "--no-logs")
    assert run["status"] == "Failed" and run["task"] == task[3]
    assert az("acr", "run", *at, "--cmd", "app", "/dev/null", "--no-logs")["status"] == "Failed"
    listed = [r["runId"] for r in az("acr", "task", "list-runs", *at)]
    assert run["runId"] in listed and len(listed) == 2
    mine = az("acr", "task", "list-runs", *task, "--run-status", "Failed", "--top", "1")
    assert [r["runId"] for r in mine] == [run["runId"]]
    one = [*at, "--run-id", run["runId"]]
    assert az("acr", "task", "show-run", *one)["status"] == "Failed"
    assert az("acr", "task", "update-run", *one, "--no-archive", "true")["isArchiveEnabled"] is False
    az("acr", "task", "cancel-run", *one)


def test_task_runs(az, instance, home):
    at = ["-r", home.name]
    made = instance.arm("PUT", f"{home.id}/taskRuns/once1", {"properties": {"runRequest": {
        "type": "EncodedTaskRunRequest", "encodedTaskContent": "eA==",
        "platform": {"os": "Linux"}}}}, api=TASKS)
    assert made.status_code == 201, made.text
    assert [r["name"] for r in az("acr", "taskrun", "list", *at)] == ["once1"]
    shown = az("acr", "taskrun", "show", *at, "-n", "once1")
    assert shown["runRequest"]["type"] == "EncodedTaskRunRequest"
    az("acr", "taskrun", "delete", *at, "-n", "once1", "--yes")
    assert az("acr", "taskrun", "list", *at) == []


def test_pools(az, home):
    at = ["-r", home.name, "-n", "pool1"]
    made = az("acr", "agentpool", "create", *at, "--tier", "S1")
    assert made["count"] == 1 and made["tier"] == "S1"
    assert az("acr", "agentpool", "update", *at, "--count", "2")["count"] == 2
    assert az("acr", "agentpool", "show", *at)["count"] == 2
    assert az("acr", "agentpool", "show", *at, "--queue-count") == {"count": 0}
    # Without --no-wait az asks for the pool when the delete was taken, and waits for it to go, 30 seconds at a
    # time: one that is gone by then it takes for a failure. Here it is gone with the answer.
    az("acr", "agentpool", "delete", *at, "--yes", "--no-wait")
    assert az("acr", "agentpool", "list", "-r", home.name) == []


def test_policies(az, home):
    at = ["-r", home.name]
    assert az("acr", "config", "authentication-as-arm", "show", *at)["status"] == "enabled"
    changed = az("acr", "config", "authentication-as-arm", "update", *at, "--status", "disabled")
    assert changed["status"] == "disabled"
    assert az("acr", "config", "content-trust", "show", *at)["status"] == "disabled"
    if az.kind == "debian":
        az("acr", "config", "content-trust", "update", *at, "--status", "enabled")
        assert az("acr", "config", "content-trust", "show", *at)["status"] == "enabled"
        az("acr", "config", "content-trust", "update", *at, "--status", "disabled")
    else:  # it may only be switched off
        az("acr", "config", "content-trust", "update", *at, "--status", "disabled", "--yes")
    assert az("acr", "config", "content-trust", "show", *at)["status"] == "disabled"
    retention = ["--type", "UntaggedManifests"]
    az("acr", "config", "retention", "update", *at, *retention, "--status", "enabled", "--days", "3")
    shown = az("acr", "config", "retention", "show", *at)
    assert (shown["status"], shown["days"]) == ("enabled", 3)
    az("acr", "config", "retention", "update", *at, *retention, "--status", "disabled")
    az("acr", "config", "soft-delete", "update", *at, "--status", "enabled", "--days", "5", "--yes")
    shown = az("acr", "config", "soft-delete", "show", *at)
    assert (shown["status"], shown["retentionDays"]) == ("enabled", 5)
    az("acr", "config", "soft-delete", "update", *at, "--status", "disabled", "--yes")
    assert az("acr", "encryption", "show", "-n", home.name)["status"] == "disabled"


def test_endpoints(az, home):
    shown = az("acr", "show-endpoints", "-n", home.name)
    assert shown["loginServer"] == home.host
    assert [e["region"] for e in shown["dataEndpoints"]] == ["eastus"]
    taken = az("acr", "check-name", "-n", home.name)
    assert (taken["nameAvailable"], taken["reason"]) == (False, "AlreadyExists")
