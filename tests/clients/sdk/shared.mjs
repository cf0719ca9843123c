// What the programs here have in common: libraries from a folder of packages, who signs in, lines that tell
// what went well, and lists of all pages.
import { createRequire } from "node:module";
import { strict as assert } from "node:assert";

const env = process.env;

export function loader(packages) {
  return createRequire(packages + "/");
}

export function signedIn(load) {
  const { ClientSecretCredential } = load("@azure/identity");
  return new ClientSecretCredential(
    env.AZURE_TENANT_ID, env.AZURE_CLIENT_ID, env.AZURE_CLIENT_SECRET,
    { authorityHost: env.AZURE_AUTHORITY_HOST, disableInstanceDiscovery: true });
}

// How a management library finds this installation.
export const management = {
  endpoint: env.PORTOLAN_MANAGEMENT,
  credentialScopes: [env.PORTOLAN_MANAGEMENT + "/.default"],
  credentials: { scopes: [env.PORTOLAN_MANAGEMENT + "/.default"] },
};

export const poll = { updateIntervalInMs: 200 };

export function told(what, good) {
  assert.ok(good, what);
  console.log(what);
}

export async function all(pages) {
  const list = [];
  for await (const item of pages) list.push(item);
  return list;
}
