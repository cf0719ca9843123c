// Drives tasks, task runs, runs and agent pools with the last JavaScript library that has them; each
// step prints a line.
//     tasks.mjs PACKAGES GROUP REGISTRY (Premium)
import { createRequire } from "node:module";
import { strict as assert } from "node:assert";

const [packages, ...at] = process.argv.slice(2);
const require = createRequire(packages + "/");
const { ClientSecretCredential } = require("@azure/identity");
const { ContainerRegistryManagementClient } = require("@azure/arm-containerregistry");

const env = process.env;
const credential = new ClientSecretCredential(
  env.AZURE_TENANT_ID, env.AZURE_CLIENT_ID, env.AZURE_CLIENT_SECRET,
  { authorityHost: env.AZURE_AUTHORITY_HOST, disableInstanceDiscovery: true });
const acr = new ContainerRegistryManagementClient(credential, env.AZURE_SUBSCRIPTION_ID,
  { endpoint: env.PORTOLAN_MANAGEMENT, credentialScopes: [env.PORTOLAN_MANAGEMENT + "/.default"] });
const poll = { updateIntervalInMs: 200 };

function told(what, good) {
  assert.ok(good, what);
  console.log(what);
}

async function all(pages) {
  const list = [];
  for await (const item of pages) list.push(item);
  return list;
}

async function done(operations, verb, ...rest) {
  const begin = `begin${verb[0].toUpperCase()}${verb.slice(1)}AndWait`;
  return operations[begin]
    ? await operations[begin](...at, ...rest, poll) : await operations[verb](...at, ...rest);
}

async function child(operations, kind, key, body, update, check) {
  const it = await done(operations, "create", key, body);
  told(`${kind} create`, it.name === key);
  told(`${kind} update`, check(await done(operations, "update", key, update)));
  told(`${kind} get`, (await operations.get(...at, key)).id === it.id);
  told(`${kind} list`, (await all(operations.list(...at))).some((x) => x.name === key));
}

async function gone(operations, kind, key) {
  await done(operations, "delete", key);
  told(`${kind} delete`, !(await all(operations.list(...at))).some((x) => x.name === key));
}

await child(acr.agentPools, "agent pool", "jspool", { location: "eastus", tier: "S1", count: 1 },
  { count: 2 }, (it) => it.count === 2);
told("queue", (await acr.agentPools.getQueueStatus(...at, "jspool")).count === 0);
await gone(acr.agentPools, "agent pool", "jspool");
await child(acr.tasks, "task", "jstask", {
  location: "eastus", platform: { os: "Linux" },
  step: { type: "EncodedTask", encodedTaskContent: "eA==" },
  trigger: { timerTriggers: [{ name: "first", schedule: "0 1 * * *" }] } },
  { trigger: { timerTriggers: [{ name: "second", schedule: "0 2 * * *" }] } },
  (it) => it.trigger.timerTriggers.map((t) => t.name).sort().join() === "first,second");
told("task details", (await acr.tasks.getDetails(...at, "jstask")).name === "jstask");
const request = { type: "EncodedTaskRunRequest", encodedTaskContent: "eA==",
  platform: { os: "Linux" } };
const run = await done(acr.registries, "scheduleRun", request);
told("run schedule", run.status === "Failed");
told("run update", (await done(acr.runs, "update", run.name, { isArchiveEnabled: true }))
  .isArchiveEnabled === true);
await done(acr.runs, "cancel", run.name);
told("run list", (await all(acr.runs.list(...at))).some((r) => r.name === run.name));
await assert.rejects(() => done(acr.taskRuns, "create", "jsrun", { runRequest: request }));
told("task run list", (await all(acr.taskRuns.list(...at))).some((r) => r.name === "jsrun"));
await gone(acr.taskRuns, "task run", "jsrun");
await gone(acr.tasks, "task", "jstask");
console.log("end");
