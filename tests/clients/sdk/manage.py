"""Drives the management API with the published Python libraries: a resource of each type, with what the
library of registries has for it, by its id with the library of resources where it has nothing; then the
actions. Each line tells what went well: "scopeMaps create", "vaults create by id".

    manage.py CASES (see test_sdk_manage.py)"""

import json
import os
import re
import sys

from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

try:
    from azure.mgmt.containerregistrytasks import ContainerRegistryTasksMgmtClient
except ImportError:
    ContainerRegistryTasksMgmtClient = None

with open(sys.argv[1], encoding="utf-8") as f:
    cases = json.load(f)
group, name = at = cases["group"], cases["registry"]
management = os.environ["PORTOLAN_MANAGEMENT"]
credential = ClientSecretCredential(
    os.environ["AZURE_TENANT_ID"], os.environ["AZURE_CLIENT_ID"], os.environ["AZURE_CLIENT_SECRET"],
    authority=os.environ["AZURE_AUTHORITY_HOST"], disable_instance_discovery=True)


def client(kind):
    return kind and kind(credential, os.environ["AZURE_SUBSCRIPTION_ID"], base_url=management,
                         credential_scopes=[management + "/.default"], polling_interval=0.2)


resources, acr = client(ResourceManagementClient), client(ContainerRegistryManagementClient)
tasks = client(ContainerRegistryTasksMgmtClient)


def told(what, good=True):
    assert good, what
    print(what, flush=True)


def call(operations, methods, *args, **more):
    """The first of the methods there is, and what it says in the end."""
    method = next(m for word in methods.split() for m in (f"begin_{word}", word) if hasattr(operations, m))
    it = getattr(operations, method)(*args, **more)
    return it.result() if hasattr(it, "result") else it


def holds(got, sent):
    """Whether what was sent shows in an answer."""
    if isinstance(sent, dict):
        return all(holds((got or {}).get(k), v) for k, v in sent.items())
    return got == sent


class Typed:
    """A type, in a library that knows it."""
    METHODS = {"create": "create create_or_update", "list": "list_by_resource_group list"}

    def __init__(self, operations, case):
        self.operations, self.name, self.suffix = operations, case["kind"], ""
        self.args = at if case["kind"] == "registries" else (*at, *case["names"])

    def call(self, verb, *body):
        args = self.args[:-1] if verb == "list" else self.args
        return call(self.operations, self.METHODS.get(verb, verb), *args, *filter(None, body))


class ById:
    """Any type, in the library of resources."""
    METHODS = {"create": "create_or_update_by_id", "get": "get_by_id", "update": "update_by_id",
               "delete": "delete_by_id"}

    def __init__(self, case):
        self.name, self.suffix = case["kind"], " by id"
        self.id, self.api, self.type = case["id"], case["api"], case["type"]

    def call(self, verb, *body):
        if verb == "list":
            return resources.resources.list_by_resource_group(group, filter=f"resourceType eq '{self.type}'")
        return call(resources.resources, self.METHODS[verb], self.id, *body, api_version=self.api)


def driver(case):
    attribute = re.sub(r"[A-Z]", lambda m: "_" + m[0].lower(), case["kind"])
    for library in (acr, tasks) if case["typed"] else ():
        if hasattr(library, attribute):
            return Typed(getattr(library, attribute), case)
    return ById(case)


def resolve(case):
    """Puts in the names that the service gave."""
    if "{C}" in case["id"]:
        made = next(iter(acr.private_endpoint_connections.list(*at)))
        case.update(names=[made.name], id=made.id)
    if "{N}" in case["id"]:
        case["id"] = next(iter(ById(case).call("list"))).id


def write(it, case, verb, body):
    try:
        answer = it.call(verb, body)
    except HttpResponseError as problem:  # what is taken and not carried out fails, and says so
        assert case["fails"] and case["fails"] in str(problem), problem
    else:
        assert not case["fails"] and answer.id.lower() == case["id"].lower(), answer
        assert verb == "create" or holds(answer.as_dict(), body), (body, answer.as_dict())
    told(f"{it.name} {verb}{it.suffix}")


def is_listed(it, case):
    return case["id"].lower() in [x.id.lower() for x in it.call("list")]


def make(case):
    resolve(case)
    it = driver(case)
    if not case["read_only"]:
        write(it, case, "create", case["body"])
    told(f"{it.name} get{it.suffix}", it.call("get").id.lower() == case["id"].lower())
    if case["patch"]:
        write(it, case, "update", case["patch"])
    if case["listed"] or isinstance(it, Typed):
        told(f"{it.name} list{it.suffix}", is_listed(it, case))


def remove(case):
    it = driver(case)
    it.call("delete")
    try:
        it.call("get")
        gone = False
    except HttpResponseError as problem:
        gone = problem.status_code == 404
    told(f"{it.name} delete{it.suffix}", gone)


# --- actions --------------------------------------------------------------------------------------


NAMES = {case["kind"]: case["names"] for case in cases["kinds"]}


def act_on_registry():
    registry = acr.registries.get(*at)
    told("registries listAll", registry.id in [r.id for r in acr.registries.list()])
    told("registries listUsages", len(acr.registries.list_usages(*at).value) > 3)
    acr.registries.begin_update(*at, {"properties": {"adminUserEnabled": True}}).result()
    told("registries listCredentials", len(acr.registries.list_credentials(*at).passwords) == 2)
    told("registries regenerateCredential",
         len(acr.registries.regenerate_credential(*at, {"name": "password2"}).passwords) == 2)
    link, = acr.registries.list_private_link_resources(*at)
    told("registries listPrivateLinkResources", link.name == "registry")
    told("registries getPrivateLinkResource",
         acr.registries.get_private_link_resource(*at, "registry").id == link.id)
    token = acr.tokens.get(*at, *NAMES["tokens"])
    made = acr.registries.begin_generate_credentials(*at, {"tokenId": token.id}).result()
    told("registries generateCredentials", len(made.passwords) == 2 and made.passwords[0].value)
    try:
        acr.registries.begin_import_image(*at, {"source": {
            "resourceId": registry.id, "sourceImage": "no/such:image"}}).result()
        told("registries importImage", False)
    except HttpResponseError as problem:
        told("registries importImage", "SourceImageNotFound" in str(problem))
    told("operations list", any(o.name.endswith("registries/read") for o in acr.operations.list()))


def act_on_children():
    hook, = NAMES["webhooks"]
    told("webhooks getCallbackConfig", acr.webhooks.get_callback_config(*at, hook).service_uri)
    told("webhooks ping", acr.webhooks.ping(*at, hook).id)
    told("webhooks listEvents", len(list(acr.webhooks.list_events(*at, hook))) == 1)
    acr.connected_registries.begin_deactivate(*at, *NAMES["connectedRegistries"]).result()
    told("connectedRegistries deactivate")


def act_on_tasks():
    told("agentPools getQueueStatus",
         tasks.agent_pools.get_queue_status(*at, *NAMES["agentPools"]).count == 0)
    told("tasks getDetails", tasks.tasks.get_details(*at, *NAMES["tasks"]).step.type == "EncodedTask")
    told("taskRuns getDetails", tasks.task_runs.get_details(*at, *NAMES["taskRuns"]).id)
    told("registries getBuildSourceUploadUrl", tasks.registries.get_build_source_upload_url(*at).upload_url)
    run = call(tasks.registries, "schedule_run", *at, cases["run"])
    told("registries scheduleRun", run.properties.status == "Failed")
    told("runs get", tasks.runs.get(*at, run.name).id == run.id)
    changed = call(tasks.runs, "update", *at, run.name, {"isArchiveEnabled": True})
    told("runs update", changed.properties.is_archive_enabled is True)
    call(tasks.runs, "cancel", *at, run.name)
    told("runs cancel")
    told("runs list", run.id in [r.id for r in tasks.runs.list(*at, filter="Status eq 'Failed'", top=5)])


def act_on_group():
    groups, tags = resources.resource_groups, resources.tags
    told("resourceGroups get", groups.get(group).name == group)
    told("resourceGroups update", groups.update(group, {"tags": {"c": "d"}}).tags == {"c": "d"})
    told("resourceGroups list", group in [g.name for g in groups.list()])
    scope = groups.get(group).id
    held = {"properties": {"tags": {"e": "f"}}}
    told("tags create", call(tags, "create_or_update_at_scope", scope, held).properties.tags == {"e": "f"})
    more = {"operation": "Merge", "properties": {"tags": {"g": "h"}}}
    told("tags update", len(call(tags, "update_at_scope", scope, more).properties.tags) == 2)
    told("tags get", len(tags.get_at_scope(scope).properties.tags) == 2)
    call(tags, "delete_at_scope", scope)
    told("tags delete", not groups.get(group).tags)


made = resources.resource_groups.create_or_update(group, {"location": "eastus", "tags": {"a": "b"}})
told("resourceGroups create", made.name == group and made.tags == {"a": "b"})
told("registries checkNameAvailability", acr.registries.check_name_availability(
    {"name": name, "type": "Microsoft.ContainerRegistry/registries"}).name_available is True)
for one in cases["kinds"]:
    make(one)
act_on_registry()
act_on_children()
if tasks:
    act_on_tasks()
act_on_group()
for one in reversed(cases["kinds"]):
    if not one["kept"]:
        remove(one)
resources.resource_groups.begin_delete(group).result()
told("resourceGroups delete", resources.resource_groups.check_existence(group) is False)
