// An OpenID provider as it is published, on the loopback over https. Whoever types a name is that name.
// Arguments: folder of packages, certificate with key (PEM), port, client id, client secret, redirect.
import { createRequire } from "node:module";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { pathToFileURL } from "node:url";

const [packages, site, port, clientId, clientSecret, redirect] = process.argv.slice(2);
const require = createRequire(packages + "/");
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));

const issuer = `https://localhost:${port}`;
const key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });
const provider = new Provider(issuer, {
  clients: [
    { client_id: clientId, client_secret: clientSecret, redirect_uris: [redirect] },
    { client_id: "pipeline", client_secret: clientSecret, redirect_uris: [], response_types: [],
      grant_types: ["client_credentials"] },
  ],
  jwks: { keys: [{ ...key, kid: "one", use: "sig", alg: "RS256" }] },
  formats: { customizers: { jwt: (_, token, parts) => ({ ...parts, header: { typ: "JWT" } }) } },
  cookies: { keys: ["a-key-of-the-test"] },
  pkce: { required: () => true },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({ scope: "", accessTokenFormat: "jwt" }),
    },
  },
});
const pem = readFileSync(site);
createServer({ key: pem, cert: pem }, provider.callback()).listen(Number(port), "127.0.0.1",
  () => console.log("ready"));
