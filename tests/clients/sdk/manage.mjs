// Drives the management API with the published JavaScript libraries; each step prints a line.
import { createRequire } from "node:module";
import { strict as assert } from "node:assert";

const [packages, group, name] = process.argv.slice(2);
const require = createRequire(packages + "/");
const { ClientSecretCredential } = require("@azure/identity");
const { ContainerRegistryManagementClient } = require("@azure/arm-containerregistry");
const { ResourceManagementClient } = require("@azure/arm-resources");

const env = process.env;
const management = env.PORTOLAN_MANAGEMENT;
const credential = new ClientSecretCredential(
  env.AZURE_TENANT_ID, env.AZURE_CLIENT_ID, env.AZURE_CLIENT_SECRET,
  { authorityHost: env.AZURE_AUTHORITY_HOST, disableInstanceDiscovery: true });
const options = {
  endpoint: management,
  credentials: { scopes: [management + "/.default"] },
  credentialScopes: [management + "/.default"],
};
const resources = new ResourceManagementClient(credential, env.AZURE_SUBSCRIPTION_ID, options);
const acr = new ContainerRegistryManagementClient(credential, env.AZURE_SUBSCRIPTION_ID, options);
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

async function done(started) {
  return typeof started.pollUntilDone === "function" ? await started.pollUntilDone() : await started;
}

const made = await resources.resourceGroups.createOrUpdate(group, { location: "eastus" });
told("group create", made.name === group);
told("group list", (await all(resources.resourceGroups.list())).some((g) => g.name === group));
const answer = await acr.registries.checkNameAvailability(
  { name, type: "Microsoft.ContainerRegistry/registries" });
told("name available", answer.nameAvailable === true);
const registry = await done(acr.registries.create(
  group, name, { location: "eastus", sku: { name: "Premium" }, adminUserEnabled: true,
    dataEndpointEnabled: true, properties: { adminUserEnabled: true, dataEndpointEnabled: true } },
  poll));
told("registry create", (registry.provisioningState ?? registry.properties?.provisioningState) ===
  "Succeeded");
const updated = await done(acr.registries.update(group, name, { tags: { x: "y" } }, poll));
told("registry update", updated.tags.x === "y");
told("registry list",
  (await all(acr.registries.listByResourceGroup(group))).map((r) => r.name).join() === name);
told("usages", ((await acr.registries.listUsages(group, name)).value ?? []).length > 3);
told("credentials", (await acr.registries.listCredentials(group, name)).passwords.length === 2);

async function child(operations, kind, key, body, update, check) {
  const it = await done(operations.create(group, name, key, body, poll));
  told(`${kind} create`, it.name === key);
  if (update) told(`${kind} update`, check(await done(operations.update(group, name, key, update,
    poll))));
  told(`${kind} get`, (await operations.get(group, name, key)).id === it.id);
  told(`${kind} list`, (await all(operations.list(group, name))).some((x) => x.name === key));
  return it;
}

async function gone(operations, kind, key) {
  await done(operations.delete(group, name, key, poll));
  told(`${kind} delete`, !(await all(operations.list(group, name))).some((x) => x.name === key));
}

// The library flattens properties in some versions and not in others: both forms are sent.
const flat = (properties, rest = {}) => ({ ...rest, ...properties, properties });
const at = (it, member) => it[member] ?? it.properties?.[member];

const map = await child(acr.scopeMaps, "scope map", "mymap",
  flat({ actions: ["repositories/app/content/read"] }), flat({ description: "reads app" }),
  (it) => at(it, "description") === "reads app");
const token = await child(acr.tokens, "token", "mytoken",
  flat({ scopeMapId: map.id, status: "enabled" }), flat({ status: "disabled" }),
  (it) => at(it, "status") === "disabled");
const secrets = await done(acr.registries.generateCredentials(group, name, { tokenId: token.id },
  poll));
told("generate credentials", secrets.passwords.length === 2);
await child(acr.webhooks, "webhook", "myhook",
  flat({ serviceUri: "https://example.org/hook", actions: ["push"], status: "disabled" },
    { location: "eastus" }), flat({ scope: "app:*" }), (it) => at(it, "scope") === "app:*");
await child(acr.replications, "replication", "westeurope", { location: "westeurope" },
  { tags: { r: "s" } }, (it) => it.tags.r === "s");
const secret = "https://v.vault.example/secrets/";
const credentials = (which) => [{ name: "Credential1", usernameSecretIdentifier: secret + which,
  passwordSecretIdentifier: secret + which }];
const set = await child(acr.credentialSets, "credential set", "mycreds",
  flat({ loginServer: "docker.io", authCredentials: credentials("s") }),
  flat({ authCredentials: credentials("t") }),
  (it) => at(it, "authCredentials")[0].usernameSecretIdentifier.endsWith("/t"));
await child(acr.cacheRules, "cache rule", "myrule",
  flat({ sourceRepository: "docker.io/library/alpine", targetRepository: "alpine" }),
  flat({ credentialSetResourceId: set.id }), (it) => at(it, "credentialSetResourceId") === set.id);
told("private endpoint connection list",
  (await all(acr.privateEndpointConnections.list(group, name))).length === 0);
await assert.rejects(async () => await done(acr.registries.importImage(group, name,
  { source: { resourceId: registry.id, sourceImage: "no/such:image" } }, poll)),
  { code: "SourceImageNotFound" });
told("import", true);
await child(acr.connectedRegistries, "connected registry", "myedge",
  flat({ mode: "ReadOnly", parent: { syncProperties: { tokenId: token.id, messageTtl: "P2D" } } }),
  flat({ logging: { logLevel: "Debug" } }), (it) => at(it, "logging").logLevel === "Debug");
await gone(acr.connectedRegistries, "connected registry", "myedge");
await gone(acr.cacheRules, "cache rule", "myrule");
await gone(acr.credentialSets, "credential set", "mycreds");
await gone(acr.replications, "replication", "westeurope");
await gone(acr.webhooks, "webhook", "myhook");
await gone(acr.tokens, "token", "mytoken");
await gone(acr.scopeMaps, "scope map", "mymap");
await done(acr.registries.delete(group, name, poll));
told("registry delete", (await all(acr.registries.listByResourceGroup(group))).length === 0);
await (resources.resourceGroups.beginDeleteAndWait
  ? resources.resourceGroups.beginDeleteAndWait(group, poll)
  : done(resources.resourceGroups.delete(group, poll)));
told("group delete", !(await all(resources.resourceGroups.list())).some((g) => g.name === group));
