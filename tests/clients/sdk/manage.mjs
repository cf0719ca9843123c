// Drives the management API with the published JavaScript libraries: a resource of each type, with what the
// library of registries has for it, by its id with the library of resources where it has nothing; then the
// actions. Each line tells what went well: "scopeMaps create", "vaults create by id".
//     manage.mjs PACKAGES CASES (see test_sdk_manage.py)
import { readFileSync } from "node:fs";
import { strict as assert } from "node:assert";
import { all, loader, management, poll, signedIn, told } from "./shared.mjs";

const [packages, file] = process.argv.slice(2);
const load = loader(packages);
const cases = JSON.parse(readFileSync(file));
const { group, registry: name } = cases;
const at = [group, name];
const credential = signedIn(load);
const subscription = process.env.AZURE_SUBSCRIPTION_ID;
const { ResourceManagementClient } = load("@azure/arm-resources");
const { ContainerRegistryManagementClient } = load("@azure/arm-containerregistry");
const resources = new ResourceManagementClient(credential, subscription, management);
// The oldest generation of the libraries has other names for its options, and signs requests otherwise.
const acr = new ContainerRegistryManagementClient(
  load("@azure/arm-containerregistry/package.json").version.startsWith("8.") ? {
    async signRequest(request) {
      const { token } = await credential.getToken(management.credentialScopes);
      request.headers.set("authorization", `Bearer ${token}`);
      return request;
    },
  } : credential, subscription,
  { ...management, baseUri: management.endpoint, longRunningOperationRetryTimeout: 0.2 });

// What an operation says in the end; each generation has its own way to wait for it.
async function call(operations, words, ...args) {
  for (const word of words.split(" ")) {
    const begin = `begin${word[0].toUpperCase()}${word.slice(1)}AndWait`;
    if (operations[begin]) return await operations[begin](...args, poll);
    if (!operations[word]) continue;
    const started = operations[word](...args, poll);
    return started?.pollUntilDone ? await started.pollUntilDone() : await started;
  }
  throw new Error(`no ${words}`);
}

// The libraries flatten properties in some versions and not in others: both forms are sent, and looked for.
const flat = (body) => body && body.properties ? { ...body, ...body.properties } : body;

function holds(got, sent) {
  if (sent === null || typeof sent !== "object") return (got ?? null) === sent;
  return Object.entries(sent).every(([key, value]) =>
    key === "properties" ? holds(got.properties ?? got, value) || holds(got, value)
      : holds(got?.[key], value));
}

class Typed {
  static METHODS = { create: "create createOrUpdate", list: "listByResourceGroup list",
    delete: "delete deleteMethod" };

  constructor(operations, it) {
    Object.assign(this, { operations, name: it.kind, suffix: "" });
    this.args = it.kind === "registries" ? at : [...at, ...it.names];
  }

  async call(verb, body) {
    const words = Typed.METHODS[verb] ?? verb;
    if (verb === "list") {
      const word = words.split(" ").find((w) => this.operations[w]);
      return await all(await this.operations[word](...this.args.slice(0, -1)));
    }
    const has = body && Object.keys(body).length;
    return await call(this.operations, words, ...this.args, ...(has ? [flat(body)] : []));
  }
}

class ById {
  static METHODS = { create: "createOrUpdateById", get: "getById", update: "updateById",
    delete: "deleteById" };

  constructor(it) {
    Object.assign(this, { name: it.kind, suffix: " by id", id: it.id, api: it.api, type: it.type });
  }

  async call(verb, body) {
    if (verb === "list")
      return await all(resources.resources.listByResourceGroup(group,
        { filter: `resourceType eq '${this.type}'` }));
    return await call(resources.resources, ById.METHODS[verb], this.id, this.api,
      ...(body ? [body] : []));
  }
}

const driver = (it) => it.typed && acr[it.kind] ? new Typed(acr[it.kind], it) : new ById(it);
const same = (a, b) => a.toLowerCase() === b.toLowerCase();

// Puts in the names that the service gave.
async function resolve(it) {
  if (it.id.includes("{C}")) {
    const [made] = await all(await acr.privateEndpointConnections.list(...at));
    Object.assign(it, { names: [made.name], id: made.id });
  }
  if (it.id.includes("{N}")) it.id = (await new ById(it).call("list"))[0].id;
}

const says = (problem, code) => JSON.stringify([problem.code, problem.message, problem.body]).includes(code);

async function write(by, it, verb, body) {
  let answer;
  try {
    answer = await by.call(verb, body);
  } catch (problem) { // what is taken and not carried out fails, and says so
    if (!it.fails || !says(problem, it.fails)) throw problem;
  }
  if (answer) {
    assert.ok(!it.fails && same(answer.id, it.id), answer.id);
    assert.ok(verb === "create" || holds(answer, body), JSON.stringify(answer));
  }
  told(`${by.name} ${verb}${by.suffix}`, answer || it.fails);
}

async function make(it) {
  await resolve(it);
  const by = driver(it);
  if (!it.read_only) await write(by, it, "create", it.body);
  told(`${by.name} get${by.suffix}`, same((await by.call("get")).id, it.id));
  if (it.patch) await write(by, it, "update", it.patch);
  if (it.listed || by instanceof Typed)
    told(`${by.name} list${by.suffix}`, (await by.call("list")).some((x) => same(x.id, it.id)));
}

async function remove(it) {
  const by = driver(it);
  await by.call("delete");
  await assert.rejects(() => by.call("get"), { statusCode: 404 });
  told(`${by.name} delete${by.suffix}`, true);
}

const NAMES = Object.fromEntries(cases.kinds.map((it) => [it.kind, it.names]));

async function actOnRegistry() {
  const { registries } = acr;
  const registry = await registries.get(...at);
  told("registries listAll", (await all(await registries.list())).some((r) => r.name === name));
  told("registries listUsages", (await registries.listUsages(...at)).value.length > 3);
  await call(registries, "update", ...at, flat({ properties: { adminUserEnabled: true } }));
  told("registries listCredentials", (await registries.listCredentials(...at)).passwords.length === 2);
  const again = await registries.regenerateCredential(...at, { name: "password2" });
  told("registries regenerateCredential", again.passwords.length === 2);
  const links = await all(await registries.listPrivateLinkResources(...at));
  told("registries listPrivateLinkResources", links.map((l) => l.name).join() === "registry");
  if (registries.getPrivateLinkResource)
    told("registries getPrivateLinkResource",
      (await registries.getPrivateLinkResource(...at, "registry")).id === links[0].id);
  const token = await acr.tokens.get(...at, ...NAMES.tokens);
  const secrets = await call(registries, "generateCredentials", ...at, { tokenId: token.id });
  told("registries generateCredentials", secrets.passwords.length === 2);
  await assert.rejects(() => call(registries, "importImage", ...at,
    { source: { resourceId: registry.id, sourceImage: "no/such:image" } }),
  (problem) => says(problem, "SourceImageNotFound"));
  told("registries importImage", true);
  const known = await all(await acr.operations.list());
  told("operations list", known.some((o) => o.name.endsWith("registries/read")));
}

async function actOnChildren() {
  const { webhooks, connectedRegistries } = acr;
  const hook = [...at, ...NAMES.webhooks];
  told("webhooks getCallbackConfig", (await webhooks.getCallbackConfig(...hook)).serviceUri);
  told("webhooks ping", (await webhooks.ping(...hook)).id);
  told("webhooks listEvents", (await all(await webhooks.listEvents(...hook))).length === 1);
  if (!connectedRegistries) return;
  await call(connectedRegistries, "deactivate", ...at, ...NAMES.connectedRegistries);
  told("connectedRegistries deactivate", true);
}

async function actOnTasks() {
  const { agentPools, registries, runs, taskRuns, tasks } = acr;
  told("agentPools getQueueStatus",
    (await agentPools.getQueueStatus(...at, ...NAMES.agentPools)).count === 0);
  told("tasks getDetails",
    (await tasks.getDetails(...at, ...NAMES.tasks)).step.type === "EncodedTask");
  told("taskRuns getDetails", (await taskRuns.getDetails(...at, ...NAMES.taskRuns)).id);
  told("registries getBuildSourceUploadUrl",
    (await registries.getBuildSourceUploadUrl(...at)).uploadUrl);
  const run = await call(registries, "scheduleRun", ...at, cases.run);
  told("registries scheduleRun", run.status === "Failed");
  told("runs get", (await runs.get(...at, run.name)).id === run.id);
  told("runs update",
    (await call(runs, "update", ...at, run.name, { isArchiveEnabled: true })).isArchiveEnabled);
  await call(runs, "cancel", ...at, run.name);
  told("runs cancel", true);
  told("runs list", (await all(await runs.list(...at))).some((r) => r.id === run.id));
}

async function actOnGroup() {
  const { resourceGroups: groups, tagsOperations: tags } = resources;
  const { id: scope } = await groups.get(group);
  told("resourceGroups get", scope.endsWith(group));
  told("resourceGroups update", (await groups.update(group, { tags: { c: "d" } })).tags.c === "d");
  told("resourceGroups list", (await all(groups.list())).some((g) => g.name === group));
  const set = await call(tags, "createOrUpdateAtScope", scope, { properties: { tags: { e: "f" } } });
  told("tags create", set.properties.tags.e === "f");
  const more = await call(tags, "updateAtScope", scope,
    { operation: "Merge", properties: { tags: { g: "h" } } });
  told("tags update", Object.keys(more.properties.tags).length === 2);
  told("tags get", Object.keys((await tags.getAtScope(scope)).properties.tags).length === 2);
  await call(tags, "deleteAtScope", scope);
  told("tags delete", !Object.keys((await groups.get(group)).tags ?? {}).length);
}

const made = await resources.resourceGroups.createOrUpdate(group, { location: "eastus" });
told("resourceGroups create", made.name === group);
const answer = await acr.registries.checkNameAvailability(
  { name, type: "Microsoft.ContainerRegistry/registries" });
told("registries checkNameAvailability", answer.nameAvailable === true);
for (const it of cases.kinds) await make(it);
await actOnRegistry();
await actOnChildren();
if (acr.tasks) await actOnTasks();
await actOnGroup();
for (const it of cases.kinds.reverse()) if (!it.kept) await remove(it);
await call(resources.resourceGroups, "delete", group);
told("resourceGroups delete", !(await all(resources.resourceGroups.list())).some((g) => g.name === group));
