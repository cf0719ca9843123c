// @azure/identity as it is published: prints whom each credential class signs in, one a line.
import { createRequire } from "node:module";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { strict as assert } from "node:assert";
import { promisify } from "node:util";

const [packages, ...names] = process.argv.slice(2);
const az = createRequire(packages + "/")("@azure/identity");

const env = process.env;
const audience = env.PORTOLAN_MANAGEMENT;
const tool = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
const authority = { authorityHost: env.AZURE_AUTHORITY_HOST, disableInstanceDiscovery: true };
const who = [env.AZURE_TENANT_ID, env.AZURE_CLIENT_ID];
const person = { tenantId: env.AZURE_TENANT_ID, clientId: tool, ...authority };
const letIn = async ({ verificationUri, userCode }) =>
  promisify(execFile)("/usr/bin/python3", [env.PERSON, verificationUri, userCode]);

const classes = {
  ClientSecret: () => new az.ClientSecretCredential(...who, env.AZURE_CLIENT_SECRET, authority),
  ClientCertificate: () => new az.ClientCertificateCredential(
    ...who, { certificatePath: env.CERTIFICATE }, authority),
  ClientAssertion: () => new az.ClientAssertionCredential(
    ...who, async () => readFileSync(env.AZURE_FEDERATED_TOKEN_FILE, "utf8"), authority),
  WorkloadIdentity: () => new az.WorkloadIdentityCredential(authority),
  Environment: () => new az.EnvironmentCredential(authority),
  Default: () => new az.DefaultAzureCredential(authority),
  Chained: () => new az.ChainedTokenCredential(classes.ClientSecret()),
  UsernamePassword: () => new az.UsernamePasswordCredential(
    env.AZURE_TENANT_ID, tool, env.PERSON_NAME, env.PERSON_PASSWORD, authority),
  DeviceCode: () => new az.DeviceCodeCredential({ ...person, userPromptCallback: letIn }),
  InteractiveBrowser: () => new az.InteractiveBrowserCredential(
    { ...person, redirectUri: "http://localhost:" + env.BACK_PORT }),
  ManagedIdentity: () => env.MANAGED_CLIENT_ID
    ? new az.ManagedIdentityCredential({ clientId: env.MANAGED_CLIENT_ID })
    : new az.ManagedIdentityCredential(),
  AzureCli: () => new az.AzureCliCredential(),
};

for (const name of names) {
  const { token } = await classes[name]().getToken(audience + "/.default");
  const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  assert.equal(claims.aud, audience);
  console.log(name, claims.oid);
}
process.exit(0);
