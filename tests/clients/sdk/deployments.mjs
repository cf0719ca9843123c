// Drives deployments with @azure/arm-resources; each step prints a line.
import { readFileSync } from "node:fs";
import { strict as assert } from "node:assert";
import { all, loader, management, poll, signedIn, told } from "./shared.mjs";

const [packages, group, name, file] = process.argv.slice(2);
const load = loader(packages);
const { ResourceManagementClient } = load("@azure/arm-resources");
const client = new ResourceManagementClient(
  signedIn(load), process.env.AZURE_SUBSCRIPTION_ID, management);
const template = JSON.parse(readFileSync(file));
const wanted = { properties: {
  mode: "Incremental", template, parameters: { acrName: { value: name } } } };

await client.resourceGroups.createOrUpdate(group, { location: "eastus" });
const { deployments } = client;
const checked = await deployments.beginValidateAndWait(group, "one", wanted, poll);
told("validate", checked.properties.provisioningState === "Succeeded");
let seen = await deployments.beginWhatIfAndWait(group, "one", wanted, poll);
told("what if", seen.changes.map((c) => c.changeType).join() === "Create");
const made = await deployments.beginCreateOrUpdateAndWait(group, "one", wanted, poll);
told("create", made.properties.outputs.acrLoginServer.value.startsWith(name));
seen = await deployments.beginWhatIfAndWait(group, "one", wanted, poll);
told("what if again", seen.changes.map((c) => c.changeType).join() === "NoChange");
told("get", (await deployments.get(group, "one")).properties.provisioningState === "Succeeded");
told("list", (await all(deployments.listByResourceGroup(group))).length === 1);
told("export", (await deployments.exportTemplate(group, "one")).template.parameters.acrName);
told("operations", (await all(client.deploymentOperations.list(group, "one"))).length === 2);
await assert.rejects(deployments.cancel(group, "one"), { code: "DeploymentCannotBeCancelled" });
told("cancel", true);
await deployments.beginDeleteAndWait(group, "one", poll);
told("delete", !(await deployments.checkExistence(group, "one")).body);
await client.resourceGroups.beginDeleteAndWait(group, poll);
told("group delete", true);
