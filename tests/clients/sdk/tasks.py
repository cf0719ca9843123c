"""Drives what the newest stable library of registries leaves to others, with those: tasks, task runs,
runs and agent pools, pipelines and their runs, archives. Each step prints a line.

    tasks.py GROUP REGISTRY (Premium)"""

import os
import sys

from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.containerregistrytasks import ContainerRegistryTasksMgmtClient

management = os.environ["PORTOLAN_MANAGEMENT"]
at = sys.argv[1:3]
credential = ClientSecretCredential(
    os.environ["AZURE_TENANT_ID"], os.environ["AZURE_CLIENT_ID"], os.environ["AZURE_CLIENT_SECRET"],
    authority=os.environ["AZURE_AUTHORITY_HOST"], disable_instance_discovery=True)
common = {"base_url": management, "credential_scopes": [management + "/.default"],
          "polling_interval": 0.2}
tasks = ContainerRegistryTasksMgmtClient(credential, os.environ["AZURE_SUBSCRIPTION_ID"], **common)
acr = ContainerRegistryManagementClient(credential, os.environ["AZURE_SUBSCRIPTION_ID"], **common)


def told(what, good):
    assert good, what
    print(what, flush=True)


def done(operations, verb, *arguments):
    call = getattr(operations, f"begin_{verb}", None) or getattr(operations, verb)
    it = call(*at, *arguments)
    return it.result() if hasattr(it, "result") else it


def child(operations, kind, key, body, update=None, check=None):
    it = done(operations, "create", key, body)
    told(f"{kind} create", it.name == key)
    if update:
        told(f"{kind} update", check(done(operations, "update", key, update)))
    told(f"{kind} get", operations.get(*at, key).id == it.id)
    told(f"{kind} list", key in [x.name for x in operations.list(*at)])
    return it


def gone(operations, kind, *keys):
    for key in keys:
        done(operations, "delete", key)
    told(f"{kind} delete", not {x.name for x in operations.list(*at)} & set(keys))


def fails(operations, kind, key, body, reason):
    try:
        done(operations, "create", key, body)
    except HttpResponseError as problem:
        told(f"{kind} create says why nothing runs", reason in str(problem))
    told(f"{kind} list", key in [x.name for x in operations.list(*at)])


child(tasks.agent_pools, "agent pool", "mypool",
      {"location": "eastus", "properties": {"tier": "S1", "count": 1}},
      {"properties": {"count": 2}}, lambda it: it.properties.count == 2)
told("queue", tasks.agent_pools.get_queue_status(*at, "mypool").count == 0)
gone(tasks.agent_pools, "agent pool", "mypool")
timer = {"timerTriggers": [{"name": "second", "schedule": "0 2 * * *"}]}
child(tasks.tasks, "task", "mytask", {"location": "eastus", "properties": {
    "platform": {"os": "Linux"}, "step": {"type": "EncodedTask", "encodedTaskContent": "eA=="},
    "trigger": {"timerTriggers": [{"name": "first", "schedule": "0 1 * * *"}]}}},
      {"properties": {"trigger": timer}},
      lambda it: sorted(t.name for t in it.properties.trigger.timer_triggers) == ["first", "second"])
told("task details", tasks.tasks.get_details(*at, "mytask").name == "mytask")
request = {"type": "EncodedTaskRunRequest", "encodedTaskContent": "eA==", "platform": {"os": "Linux"}}
run = tasks.registries.schedule_run(*at, request)
told("run schedule", run.properties.status == "Failed")
told("run get", tasks.runs.get(*at, run.name).name == run.name)
told("run update", tasks.runs.update(*at, run.name, {
    "isArchiveEnabled": True}).properties.is_archive_enabled is True)
tasks.runs.cancel(*at, run.name)
told("run list", [r.name for r in tasks.runs.list(*at, filter="Status eq 'Failed'", top=1)] != [])
fails(tasks.task_runs, "task run", "myrun", {"properties": {"runRequest": request}},
      "not run by this installation")
gone(tasks.task_runs, "task run", "myrun")
gone(tasks.tasks, "task", "mytask")

end = {"uri": "https://acc.blob.example/c", "keyVaultUri": "https://v.example/secrets/s"}
system = {"type": "SystemAssigned"}
out = child(acr.export_pipelines, "export pipeline", "myexport", {
    "location": "eastus", "identity": system, "properties": {"target": end}})
child(acr.import_pipelines, "import pipeline", "myimport", {
    "location": "eastus", "identity": system, "properties": {"source": end}})
fails(acr.pipeline_runs, "pipeline run", "mypiperun", {"properties": {"request": {
    "pipelineResourceId": out.id, "artifacts": ["app:v1"],
    "target": {"type": "AzureStorageBlob", "name": "b"}}}}, "OperationNotSupported")
gone(acr.pipeline_runs, "pipeline run", "mypiperun")
gone(acr.export_pipelines, "export pipeline", "myexport")
gone(acr.import_pipelines, "import pipeline", "myimport")
print("end")
