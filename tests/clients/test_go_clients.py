"""Client programs built from Go modules, unmodified, against a registry behind the edge: crane, regctl,
oras, helm, cosign, acr-cli. Between them: push, pull, copy between repositories, indexes for several platforms,
attaching and discovering, signing and verifying, deleting.

They are built once, in some minutes together, and kept in a cache. PORTOLAN_CLIENTS names a folder of
programs that are there already."""

import base64
import json
import os
import shutil
import subprocess
import uuid

import pytest

from support import sdk
from support.directory import Directory, assign
from support.instance import eventually, make_image, scoped_token

MODULES = {
    "crane": "github.com/google/go-containerregistry/cmd/crane@v0.21.9",
    "regctl": "github.com/regclient/regclient/cmd/regctl@v0.11.5",
    "oras": "oras.land/oras/cmd/oras@v1.3.3",
    "helm": "helm.sh/helm/v3/cmd/helm@v3.19.0",
    "cosign": "github.com/sigstore/cosign/v3/cmd/cosign@v3.1.2",
    "acr": "github.com/Azure/acr-cli/cmd/acr@v0.18.1",
}
# AcrPull, AcrPush, AcrDelete
ACR_ROLES = ("7f951dda-4ed3-4680-a7ca-43fe172d538d", "8311e382-0749-4cb8-b61a-304f252e45ec",
             "c2f4ef07-c644-48eb-af81-4b1b4947fb11")


def program(name):
    given = os.path.join(os.environ.get("PORTOLAN_CLIENTS", ""), name)
    if os.environ.get("PORTOLAN_CLIENTS") and os.path.exists(given):
        return given
    if shutil.which(name):
        return shutil.which(name)
    try:
        return sdk.go_program(MODULES[name])
    except AssertionError as problem:
        pytest.skip(f"{name} cannot be installed: {str(problem)[-300:]}")


@pytest.fixture
def client(request, instance, registry, tmp_path):
    """Runs the program the test is about; signed in by a Docker configuration, as all of them read."""
    path = program(request.param)
    home = tmp_path / "home"
    home.mkdir()
    token = base64.b64encode(f"{registry.name}:{registry.password}".encode()).decode()
    (home / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": token}}}))
    env = {**os.environ, "HOME": str(home), "DOCKER_CONFIG": str(home), "SSL_CERT_FILE": instance.ca,
           "GODEBUG": "netdns=cgo", "COSIGN_PASSWORD": "", "XDG_CONFIG_HOME": str(home / "xdg"),
           "HELM_REGISTRY_CONFIG": str(home / "config.json")}

    def call(*arguments, ok=True, cwd=str(tmp_path)):
        done = subprocess.run([path, *arguments], env=env, text=True, capture_output=True, cwd=cwd,
                              timeout=180)
        assert (done.returncode == 0) is ok, \
            f"{' '.join(arguments)[:200]}: {done.stdout[-1000:]}{done.stderr[-3000:]}"
        return done.stdout if ok else done.stdout + done.stderr
    return call


@pytest.fixture
def repo(registry):
    return f"{registry.host}/go/{uuid.uuid4().hex[:8]}"


def path_of(reference):
    return reference.split("/", 1)[1]


def uses(name):
    return pytest.mark.parametrize("client", [name], indirect=True)


@uses("crane")
def test_crane(client, registry, repo, tmp_path):
    layout = tmp_path / "layout"
    digest = make_image(layout, "v1", 100_000)
    client("push", str(layout), f"{repo}:index", "--index")
    client("copy", f"{repo}@{digest}", f"{repo}:v1")
    assert client("digest", f"{repo}:v1").strip() == digest
    client("copy", f"{repo}:v1", f"{repo}-copy:v1")  # mounts
    assert client("ls", f"{repo}-copy").split() == ["v1"]
    client("pull", f"{repo}-copy:v1", str(tmp_path / "back"), "--format", "oci")
    assert (tmp_path / "back" / "blobs" / "sha256" / digest[7:]).exists()
    assert client("validate", "--remote", f"{repo}-copy:v1").startswith("PASS")
    client("tag", f"{repo}:v1", "again")
    client("mutate", f"{repo}:v1", "--annotation", "a=b", "--tag", f"{repo}:other")
    client("index", "append", "-m", f"{repo}:v1", "-m", f"{repo}:other", "-t", f"{repo}:both")
    assert len(json.loads(client("manifest", f"{repo}:both"))["manifests"]) == 2
    layer = json.loads(client("manifest", f"{repo}:v1"))["layers"][0]["digest"]
    assert registry.call("HEAD", f"/v2/{path_of(repo)}-copy/blobs/{layer}").status_code == 200
    assert path_of(repo) in client("catalog", registry.host).split()
    assert set(client("ls", repo).split()) == {"index", "v1", "again", "other", "both"}
    client("delete", f"{repo}:again")  # by digest
    assert "manifest" in client("manifest", f"{repo}:none", ok=False).lower()


@uses("regctl")
def test_regctl(client, registry, repo, tmp_path):
    layout = tmp_path / "layout"
    digest = make_image(layout, "v1", 100_000)
    client("image", "copy", f"ocidir://{layout}:v1", f"{repo}:v1")
    assert client("image", "digest", f"{repo}:v1").strip() == digest
    client("image", "copy", f"{repo}:v1", f"{repo}-copy:v1")
    client("index", "create", f"{repo}:both", "--ref", f"{repo}:v1", "--platform", "linux/amd64")
    assert json.loads(client("manifest", "get", "--format", "raw-body", f"{repo}:both"))["manifests"]
    bill = tmp_path / "bill.json"
    bill.write_text('{"bill": "of materials"}')
    client("artifact", "put", "--subject", f"{repo}:v1", "--artifact-type", "application/x.bill",
           "--file", str(bill))
    listed = json.loads(client("artifact", "list", "--format", "{{json .}}", f"{repo}:v1"))
    assert [d["artifactType"] for d in listed["descriptors"]] == ["application/x.bill"]
    assert "bill" in client("artifact", "get", "--subject", f"{repo}:v1", "--filter-artifact-type",
                            "application/x.bill")
    client("image", "copy", "--referrers", f"{repo}:v1", f"{repo}-with:v1")
    assert registry.call("GET", f"/v2/{path_of(repo)}-with/referrers/{digest}").json()["manifests"]
    assert set(client("tag", "ls", repo).split()) == {"v1", "both"}  # no fallback tag was made
    client("tag", "delete", f"{repo}:both")
    assert client("tag", "ls", repo).split() == ["v1"]
    client("manifest", "delete", f"{repo}@{digest}")
    client("manifest", "head", f"{repo}@{digest}", ok=False)


@uses("oras")
def test_oras(client, registry, repo, tmp_path):
    (tmp_path / "hello.txt").write_text("hello")
    (tmp_path / "sig.txt").write_text("signed")
    client("push", f"{repo}:v1", "--artifact-type", "application/x.hello", "hello.txt:text/plain")
    digest = client("resolve", f"{repo}:v1").strip()
    client("attach", f"{repo}:v1", "--artifact-type", "application/x.sig", "sig.txt")
    found = json.loads(client("discover", "--format", "json", f"{repo}:v1"))
    assert [r["artifactType"] for r in found.get("referrers", found.get("manifests"))] == \
        ["application/x.sig"]
    assert client("repo", "tags", repo).split() == ["v1"]  # the subject was understood
    client("cp", "-r", f"{repo}:v1", f"{repo}-copy:v1")
    assert registry.call("GET", f"/v2/{path_of(repo)}-copy/referrers/{digest}").json()["manifests"]
    (tmp_path / "out").mkdir()
    client("pull", f"{repo}-copy:v1", "-o", "out")
    assert (tmp_path / "out" / "hello.txt").read_text() == "hello"
    client("tag", f"{repo}:v1", "v2")
    blob = tmp_path / "blob"
    blob.write_bytes(b"lone")
    client("blob", "push", repo, str(blob))
    client("manifest", "index", "create", f"{repo}:both", "v1")
    assert json.loads(client("manifest", "fetch", f"{repo}:both"))["manifests"]
    client("manifest", "delete", "-f", f"{repo}@{digest}")
    client("resolve", f"{repo}:v1", ok=False)


@uses("helm")
def test_helm(client, registry, repo, tmp_path):
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: chart\nversion: 1.2.3+build.4\n")
    (chart / "templates" / "x.yaml").write_text("a: b\n")
    client("package", str(chart))
    client("push", "chart-1.2.3+build.4.tgz", f"oci://{repo}")
    tags = registry.call("GET", f"/v2/{path_of(repo)}/chart/tags/list").json()["tags"]
    assert tags == ["1.2.3_build.4"]
    assert "name: chart" in client("show", "chart", f"oci://{repo}/chart", "--version",
                                   "1.2.3+build.4")
    (tmp_path / "out").mkdir()
    client("pull", f"oci://{repo}/chart", "--version", "1.2.3+build.4", "-d", "out")
    assert os.listdir(tmp_path / "out") == ["chart-1.2.3+build.4.tgz"]
    assert "a: b" in client("template", f"oci://{repo}/chart")


@uses("cosign")
def test_cosign(client, registry, repo, tmp_path):
    digest = registry.push_image(path_of(repo), "v1", b"to be signed")
    other = registry.push_image(path_of(repo), "v2", b"not signed")
    client("generate-key-pair")
    off = ["--use-signing-config=false", "--tlog-upload=false", "-y"]
    client("sign", "--key", "cosign.key", *off, f"{repo}@{digest}")
    assert registry.call("GET", f"/v2/{path_of(repo)}/referrers/{digest}").json()["manifests"]
    verify = ["verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true"]
    assert digest in client(*verify, f"{repo}@{digest}")
    client(*verify, f"{repo}@{other}", ok=False)
    predicate = tmp_path / "predicate.json"
    predicate.write_text('{"made": "here"}')
    client("attest", "--key", "cosign.key", *off, "--type", "custom", "--predicate", str(predicate),
           f"{repo}@{digest}")
    client("verify-attestation", "--key", "cosign.pub", "--insecure-ignore-tlog=true", "--type",
           "custom", f"{repo}@{digest}")


def listed(text, registry, repository):
    """acr prints "registry/repository:tag" one a line, between others."""
    return sorted(line.split(":")[-1] for line in text.splitlines()
                  if line.startswith(f"{registry.host}/{repository}:"))


def clean(client, registry, name, *login):
    """Lists, deletes, locks and purges, as whoever signs in."""
    for tag in ("v1", "v2", "old1", "old2"):
        registry.push_image(name, tag, tag.encode())
    at = ("--registry", registry.host, *login)
    assert listed(client("tag", "list", *at, "--repository", name), registry, name) == [
        "old1", "old2", "v1", "v2"]
    assert "sha256:" in client("manifest", "list", *at, "--repository", name)
    client("tag", "delete", *at, "--repository", name, "old2")
    client("purge", *at, "--filter", f"{name}:^old.*$", "--ago", "0d", "--untagged")
    left = registry.call("GET", f"/acr/v1/{name}/_manifests").json()["manifests"]
    assert sorted(m["tags"][0] for m in left) == ["v1", "v2"], left
    client("manifest", "delete", *at, "--repository", name, left[0]["digest"])
    assert len(registry.call("GET", f"/acr/v1/{name}/_manifests").json()["manifests"]) == 1


@uses("acr")
def test_acr_with_a_password(client, registry, repo):
    clean(client, registry, path_of(repo))  # of the Docker configuration
    assert path_of(repo) in registry.call("GET", "/v2/_catalog").json()["repositories"]


@uses("acr")
def test_acr_with_a_refresh_token(client, instance, registry):
    """What `az acr login` leaves in the Docker configuration: it asks for all repositories at once."""
    app = Directory(instance).application()
    for role in ACR_ROLES:
        given = assign(instance, app.object_id, role, registry.id)
        assert given.status_code == 201, given.text

    def exchanged():
        return instance.session.post(f"{registry.url}/oauth2/exchange", data={
            "grant_type": "access_token", "service": registry.host, "access_token": app.token()})
    eventually(lambda: exchanged().status_code == 200)
    clean(client, registry, f"go/{uuid.uuid4().hex[:8]}", "--username",
          "00000000-0000-0000-0000-000000000000", "--password", exchanged().json()["refresh_token"])


@uses("oras")
def test_oras_with_a_token(client, registry, tmp_path):
    """A token with a scope map: what the map allows, and nothing else."""
    user = scoped_token(registry, "repositories/go/*/content/read", "repositories/go/*/content/write")
    (tmp_path / "hello.txt").write_text("hello")
    login = ("--username", user[0], "--password", user[1])
    good, bad = f"{registry.host}/go/a:v1", f"{registry.host}/other/a:v1"
    client("push", *login, good, "hello.txt:text/plain")
    (tmp_path / "out").mkdir()
    client("pull", *login, good, "-o", "out")
    assert (tmp_path / "out" / "hello.txt").read_text() == "hello"
    client("push", *login, bad, "hello.txt:text/plain", ok=False)
    client("manifest", "delete", *login, "-f", good, ok=False)
