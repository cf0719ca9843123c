// Drives a registry's data plane with the published JavaScript library; each step prints a line.
//   registry.mjs PACKAGES ENDPOINT REPOSITORY [anonymous]
import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import { all, loader, signedIn, told } from "./shared.mjs";

const [packages, endpoint, repository, mode] = process.argv.slice(2);
const load = loader(packages);
const { ContainerRegistryClient, ContainerRegistryContentClient } = load("@azure/container-registry");

const audience = "https://containerregistry.azure.net";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";

async function pages(iterator, maxPageSize) {
  const list = [];
  for await (const page of iterator.byPage({ maxPageSize })) {
    assert.ok(page.length <= maxPageSize);
    list.push(...page);
  }
  return list;
}

async function refused(call, status) {
  try {
    await call();
  } catch (problem) {
    return status === undefined || problem.statusCode === status;
  }
  return false;
}

async function bytes(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

async function anonymous() {
  const client = new ContainerRegistryClient(endpoint, { audience });
  const content = new ContainerRegistryContentClient(endpoint, repository, undefined,
    { audience });
  const artifact = client.getArtifact(repository, "one");
  told("anonymous tags", (await all(artifact.listTagProperties())).some((t) => t.name === "one"));
  const { manifest } = await content.getManifest("one");
  told("anonymous manifest", manifest.schemaVersion === 2);
  const blob = await content.downloadBlob(manifest.layers[0].digest);
  told("anonymous blob", (await bytes(blob.content)).length === 3000);
  told("anonymous catalog is refused", await refused(() => all(client.listRepositoryNames())));
  told("anonymous push is refused", await refused(() => content.uploadBlob(Buffer.from("no"))));
  told("anonymous delete is refused", await refused(() => artifact.deleteTag("one")));
  console.log("anonymous end");
}

async function main() {
  const credential = signedIn(load);
  const client = new ContainerRegistryClient(endpoint, credential, { audience });
  const content = new ContainerRegistryContentClient(endpoint, repository, credential, { audience });

  async function push(into, tag, seed) {
    const config = await into.uploadBlob(Buffer.from(
      JSON.stringify({ architecture: "arm64", os: "linux", seed })));
    const layer = await into.uploadBlob(Buffer.from(seed.slice(0, 3).repeat(1000)));
    return (await into.setManifest({
      schemaVersion: 2, mediaType: MANIFEST,
      config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: config.digest,
        size: config.sizeInBytes },
      layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", digest: layer.digest,
        size: layer.sizeInBytes }],
    }, { tag })).digest;
  }
  const order = ["one", "two", "three", "four", "five"];
  const digests = {};
  for (const tag of order) digests[tag] = await push(content, tag, tag);
  told("push", new Set(Object.values(digests)).size === 5);
  const big = randomBytes(9 * 1024 * 1024);
  const uploaded = await content.uploadBlob(big);
  told("upload in chunks", uploaded.sizeInBytes === big.length);
  const down = await content.downloadBlob(uploaded.digest);
  told("download", big.equals(await bytes(down.content)));
  const got = await content.getManifest("one");
  told("get manifest", got.digest === digests.one && got.mediaType === MANIFEST);

  for (const other of ["a", "b", "c"])
    await push(new ContainerRegistryContentClient(endpoint, `${repository}-${other}`, credential,
      { audience }), "x", other.repeat(3));
  const names = (await pages(client.listRepositoryNames(), 2)).filter((n) =>
    n.startsWith(repository));
  told("list repositories in pages",
    names.join() === [repository, ...["a", "b", "c"].map((o) => `${repository}-${o}`)].join());
  const repo = client.getRepository(repository);
  const shown = await repo.getProperties();
  told("repository properties",
    shown.manifestCount === 5 && shown.tagCount === 5 && shown.createdOn instanceof Date);
  const changed = await repo.updateProperties({ canDelete: false });
  told("update repository", changed.canDelete === false && changed.canRead === true);
  told("locked repository stays", await refused(() => repo.delete(), 405));
  await repo.updateProperties({ canDelete: true });

  const artifact = repo.getArtifact("one");
  const manifests = await pages(
    repo.listManifestProperties({ order: "LastUpdatedOnDescending" }), 2);
  told("manifests, newest first",
    manifests.map((m) => m.digest).join() === Object.values(digests).reverse().join());
  told("manifest of the list", manifests[4].tags.join() === "one" &&
    manifests[4].architecture === "arm64" && manifests[4].sizeInBytes > 3000);
  const oldest = await pages(
    repo.listManifestProperties({ order: "LastUpdatedOnAscending" }), 2);
  told("manifests, oldest first",
    oldest.map((m) => m.digest).join() === Object.values(digests).join());
  told("tags in pages, newest first",
    (await pages(artifact.listTagProperties({ order: "LastUpdatedOnDescending" }), 2))
      .map((t) => t.name).join() === [...order].reverse().join());
  told("tag properties", (await artifact.getTagProperties("one")).digest === digests.one);
  const tag = await artifact.updateTagProperties("one", { canWrite: false, canDelete: false });
  told("update tag", tag.canWrite === false && tag.canList === true);
  told("locked tag stays", await refused(() => artifact.deleteTag("one"), 405) &&
    await refused(() => push(content, "one", "another"), 405));
  await artifact.updateTagProperties("one", { canWrite: true, canDelete: true });
  const two = repo.getArtifact(digests.two);
  told("update manifest", (await two.updateManifestProperties({ canRead: false })).canRead === false);
  told("locked manifest is not read", await refused(() => content.getManifest(digests.two), 405));
  await two.updateManifestProperties({ canRead: true });
  told("manifest properties", (await two.getManifestProperties()).digest === digests.two);

  await two.deleteTag("two");
  told("delete tag", await refused(() => two.getTagProperties("two"), 404));
  await repo.getArtifact(digests.three).delete();
  told("delete artifact", await refused(() => content.getManifest(digests.three), 404));
  await content.deleteManifest(digests.four);
  told("delete manifest", await refused(() => content.getManifest(digests.four), 404));
  await content.deleteBlob(uploaded.digest);
  told("delete blob", await refused(() => content.downloadBlob(uploaded.digest), 404));
  await client.deleteRepository(`${repository}-a`);
  await client.deleteRepository("never/there");
  told("delete repository",
    !(await all(client.listRepositoryNames())).includes(`${repository}-a`));
  console.log("end");
}

await (mode === "anonymous" ? anonymous() : main());
