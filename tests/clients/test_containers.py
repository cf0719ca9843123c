"""skopeo, buildah, podman, containerd and curl, unmodified, against a registry behind the edge."""

import filecmp
import json
import os
import shutil
import subprocess
import tempfile
import time
import uuid

import pytest

from support.instance import make_image, scoped_token


@pytest.fixture(scope="module")
def certs(instance, tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    shutil.copy(instance.ca, folder / "ca.crt")
    return str(folder)


@pytest.fixture
def run(tmp_path):
    env = {**os.environ, "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"),
           "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot",
           "XDG_RUNTIME_DIR": str(tmp_path)}

    def call(*arguments, ok=True, stdin=None):
        done = subprocess.run(arguments, env=env, text=True, capture_output=True, input=stdin,
                              timeout=180)
        assert (done.returncode == 0) is ok, f"{' '.join(arguments[:3])}: {done.stdout}{done.stderr}"
        return done.stdout if ok else done.stderr
    return call


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    folder = tmp_path_factory.mktemp("image") / "layout"
    return str(folder), make_image(folder, "v1", 3_000_000)


def same_blobs(one, other):
    names = os.listdir(f"{one}/blobs/sha256")
    match, wrong, errors = filecmp.cmpfiles(f"{one}/blobs/sha256", f"{other}/blobs/sha256", names,
                                            shallow=False)
    return sorted(match) == sorted(names) and not wrong and not errors


def test_skopeo_push_pull_copy_delete(registry, run, certs, image, tmp_path):
    layout, digest = image
    run("skopeo", "login", "--cert-dir", certs, "-u", registry.name, "--password-stdin",
        registry.host, stdin=registry.password)
    target = f"docker://{registry.host}/team/app"
    run("skopeo", "copy", "--dest-cert-dir", certs, f"oci:{layout}:v1", f"{target}:v1")
    seen = json.loads(run("skopeo", "inspect", "--cert-dir", certs, f"{target}:v1"))
    assert seen["Digest"] == digest and seen["RepoTags"] == ["v1"]
    back = str(tmp_path / "back")
    run("skopeo", "copy", "--src-cert-dir", certs, f"{target}@{digest}", f"oci:{back}:v1")
    assert same_blobs(layout, back)
    run("skopeo", "copy", "--src-cert-dir", certs, "--dest-cert-dir", certs, f"{target}:v1",
        f"docker://{registry.host}/other/copy:v1")
    run("skopeo", "copy", "--dest-cert-dir", certs, "--format", "v2s2", f"oci:{layout}:v1",
        f"{target}:docker")
    raw = json.loads(run("skopeo", "inspect", "--raw", "--cert-dir", certs, f"{target}:docker"))
    assert raw["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    run("skopeo", "delete", "--cert-dir", certs, f"{target}:v1")
    assert json.loads(run("skopeo", "list-tags", "--cert-dir", certs, target))["Tags"] == ["docker"]


def test_skopeo_with_a_token(registry, run, certs, image):
    """A token with a scope map: what the map allows, and nothing else."""
    layout, digest = image
    name, password = scoped_token(registry, "repositories/team/*/content/read",
                                  "repositories/team/*/content/write", "repositories/shown/content/read")
    registry.push_image("shown", "v1")
    run("skopeo", "login", "--cert-dir", certs, "-u", name, "--password-stdin", registry.host,
        stdin=password)
    at = f"docker://{registry.host}"
    run("skopeo", "copy", "--dest-cert-dir", certs, f"oci:{layout}:v1", f"{at}/team/app:v1")
    assert json.loads(run("skopeo", "inspect", "--cert-dir", certs, f"{at}/team/app:v1"))["Digest"] == digest
    assert json.loads(run("skopeo", "list-tags", "--cert-dir", certs, f"{at}/shown"))["Tags"] == ["v1"]
    for refused in ("teamx/app", "shown", "team"):
        assert "denied" in run("skopeo", "copy", "--dest-cert-dir", certs, f"oci:{layout}:v1",
                               f"{at}/{refused}:v2", ok=False).lower()
    run("skopeo", "delete", "--cert-dir", certs, f"{at}/team/app:v1", ok=False)


@pytest.mark.skipif(shutil.which("docker") is None or os.getuid() != 0,
                    reason="docker is not installed, or the test may not give it a hosts file")
def test_docker_login_with_a_token(instance, registry, run, tmp_path):
    """docker signs in without its daemon; the daemon's part of a push is what podman does below. A static
    program looks names up in the hosts file alone."""
    name, password = scoped_token(registry, "repositories/team/*/content/read")
    (tmp_path / "hosts").write_text(f"127.0.0.1 localhost {registry.host.split(':')[0]}\n")
    docker = ("env", f"DOCKER_CONFIG={tmp_path}", f"SSL_CERT_FILE={instance.ca}",
              f"DOCKER_HOST=unix://{tmp_path}/none", "unshare", "-m", "sh", "-c",
              f"mount --bind {tmp_path}/hosts /etc/hosts && exec docker login {registry.host} -u {name} "
              "--password-stdin")
    assert "Login Succeeded" in run(*docker, stdin=password)
    assert registry.host in json.loads((tmp_path / "config.json").read_text())["auths"]
    assert "unauthorized" in run(*docker, stdin=password + "x", ok=False).lower()


@pytest.fixture
def index(registry, run, certs, image):
    """The image twice under one index, as for two platforms; where it is, and its digest."""
    layout, digest = image
    name = f"many/{uuid.uuid4().hex[:8]}"
    at = f"docker://{registry.host}/{name}"
    creds = f"{registry.name}:{registry.password}"
    run("skopeo", "copy", "--dest-cert-dir", certs, "--dest-creds", creds, f"oci:{layout}:v1",
        f"{at}:amd64")
    run("skopeo", "copy", "--dest-cert-dir", certs, "--dest-creds", creds, "--format", "v2s2",
        f"oci:{layout}:v1", f"{at}:arm64")
    entries = []
    for platform in ("amd64", "arm64"):
        got = registry.call("GET", f"/v2/{name}/manifests/{platform}")
        entries.append({"mediaType": got.headers["Content-Type"], "size": len(got.content),
                        "digest": got.headers["Docker-Content-Digest"],
                        "platform": {"architecture": platform, "os": "linux"}})
    media_type = "application/vnd.oci.image.index.v1+json"
    made = registry.call("PUT", f"/v2/{name}/manifests/all", headers={"Content-Type": media_type},
                         data=json.dumps({"schemaVersion": 2, "mediaType": media_type,
                                          "manifests": entries}))
    assert made.status_code == 201, made.text
    return f"{registry.host}/{name}:all", made.headers["Docker-Content-Digest"]


def test_skopeo_copies_an_index_with_all_it_lists(registry, run, certs, index, tmp_path):
    at, digest = index
    creds = ["--src-creds", f"{registry.name}:{registry.password}", "--dest-creds",
             f"{registry.name}:{registry.password}"]
    run("skopeo", "copy", "--all", "--src-cert-dir", certs, "--dest-cert-dir", certs, *creds,
        f"docker://{at}", f"docker://{registry.host}/many/copied:all")
    there = registry.call("GET", "/v2/many/copied/manifests/all")
    assert there.headers["Docker-Content-Digest"] == digest
    for entry in there.json()["manifests"]:
        assert registry.call("HEAD", f"/v2/many/copied/manifests/{entry['digest']}").status_code == 200
    run("skopeo", "copy", "--all", "--src-cert-dir", certs, *creds[:2], f"docker://{at}",
        f"dir:{tmp_path / 'all'}")
    assert len([f for f in os.listdir(tmp_path / "all") if f.endswith(".manifest.json")]) == 2


def test_skopeo_with_a_directory_token(instance, registry, run, certs, image):
    """What `az acr login` hands to docker: the null GUID and a refresh token."""
    aad = instance.token(scope="https://containerregistry.azure.net/.default")
    reply = instance.session.post(f"{registry.url}/oauth2/exchange", data={
        "grant_type": "access_token", "service": registry.host, "tenant": instance.tenant,
        "access_token": aad})
    assert reply.status_code == 200, reply.text
    user = "00000000-0000-0000-0000-000000000000"
    run("skopeo", "login", "--cert-dir", certs, "-u", user, "--password-stdin", registry.host,
        stdin=reply.json()["refresh_token"])
    run("skopeo", "copy", "--dest-cert-dir", certs, f"oci:{image[0]}:v1",
        f"docker://{registry.host}/by/directory:v1")
    assert "v1" in run("skopeo", "list-tags", "--cert-dir", certs,
                       f"docker://{registry.host}/by/directory")


def test_wrong_password_is_refused(registry, run, certs, image):
    message = run("skopeo", "copy", "--dest-cert-dir", certs, "--dest-creds",
                  f"{registry.name}:wrong", f"oci:{image[0]}:v1",
                  f"docker://{registry.host}/x/y:v1", ok=False)
    assert "unauthorized" in message.lower() or "authentication required" in message.lower()


@pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed")
def test_buildah_builds_pushes_and_pulls(registry, run, certs, tmp_path):
    root = ["buildah", "--root", str(tmp_path / "store"), "--runroot", str(tmp_path / "run")]
    run("buildah", "login", "--cert-dir", certs, "-u", registry.name, "--password-stdin",
        registry.host, stdin=registry.password)
    made = run(*root, "from", "scratch").strip()
    run(*root, "copy", made, shutil.which("busybox"), "/bin/busybox")
    run(*root, "config", "--cmd", "/bin/busybox", made)
    name = f"{registry.host}/built/by-buildah:1"
    run(*root, "commit", made, name)
    run(*root, "push", "--cert-dir", certs, name)
    run(*root, "push", "--cert-dir", certs, name, f"docker://{registry.host}/built/copied:1")
    assert registry.call("GET", "/v2/built/copied/tags/list").json()["tags"] == ["1"]
    run(*root, "rmi", "--all", "--force")
    run(*root, "pull", "--cert-dir", certs, name)
    listed = json.loads(run(*root, "images", "--json"))
    assert any(name in (image.get("names") or []) for image in listed)
    run(*root, "manifest", "create", "both")
    for part in (name, f"{registry.host}/built/copied:1"):
        run(*root, "manifest", "add", "--cert-dir", certs, "both", f"docker://{part}")
    run(*root, "manifest", "push", "--cert-dir", certs, "--all", "both",
        f"docker://{registry.host}/built/by-buildah:both")
    shown = registry.call("GET", "/v2/built/by-buildah/manifests/both").json()
    assert shown["manifests"]


@pytest.fixture
def short_folder():
    """podman takes no path of more than 50 characters for its run-time state."""
    folder = tempfile.mkdtemp(prefix="pp-", dir="/tmp")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed")
def test_podman_pushes_pulls_and_makes_an_index(registry, run, certs, image, tmp_path,
                                                short_folder):
    """Push, pull, copy to another repository, a manifest list, and removal of what is local."""
    layout, digest = image
    podman = ["podman", "--root", str(tmp_path / "store"), "--runroot", short_folder,
              "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
    run(*podman, "login", "--cert-dir", certs, "-u", registry.name, "--password-stdin",
        registry.host, stdin=registry.password)
    source = run(*podman, "pull", "-q", f"oci:{layout}:v1").strip()
    name = f"{registry.host}/by/podman"
    run(*podman, "push", "--cert-dir", certs, source, f"{name}:1")
    run(*podman, "push", "--cert-dir", certs, "--format", "v2s2", source, f"{name}:docker")
    run(*podman, "push", "--cert-dir", certs, source, f"{registry.host}/by/podman-copy:1")
    run(*podman, "rmi", "--all", "--force")
    assert run(*podman, "pull", "-q", "--cert-dir", certs, f"{name}:1").strip() == source
    run(*podman, "manifest", "create", "both")
    for tag in ("1", "docker"):
        run(*podman, "manifest", "add", "--cert-dir", certs, "both", f"docker://{name}:{tag}")
    run(*podman, "manifest", "push", "--cert-dir", certs, "--all", "both", f"docker://{name}:both")
    shown = registry.call("GET", "/v2/by/podman/manifests/both").json()
    assert len(shown["manifests"]) == 2
    assert registry.call("GET", "/acr/v1/by/podman/_manifests?orderby=timedesc&n=1") \
        .json()["manifests"][0]["references"]


@pytest.fixture
def containerd(tmp_path):
    if shutil.which("containerd") is None or shutil.which("ctr") is None:
        pytest.skip("containerd is not installed")
    if os.getuid() != 0:
        pytest.skip("containerd needs root")
    base = str(tmp_path / "c")
    with open(tmp_path / "config.toml", "w") as config:
        config.write(f'version = 2\nroot = "{base}/root"\nstate = "{base}/state"\n'
                     'disabled_plugins = ["io.containerd.grpc.v1.cri", '
                     '"io.containerd.internal.v1.opt"]\n'
                     f'[grpc]\n address = "{base}/sock"\n[ttrpc]\n address = "{base}/ttrpc"\n')
    with open(tmp_path / "containerd.log", "w") as log:
        daemon = subprocess.Popen(["containerd", "--config", str(tmp_path / "config.toml")],
                                  stdout=log, stderr=log)
    try:
        for _ in range(300):
            if subprocess.run(["ctr", "-a", f"{base}/sock", "version"],
                              capture_output=True).returncode == 0:
                break
            assert daemon.poll() is None, (tmp_path / "containerd.log").read_text()[-3000:]
            time.sleep(0.1)
        yield f"{base}/sock"
    finally:
        daemon.terminate()
        daemon.wait(timeout=30)


def test_containerd_fetches_and_pushes(instance, registry, run, certs, image, containerd):
    layout, digest = image
    run("skopeo", "copy", "--dest-cert-dir", certs, "--dest-creds",
        f"{registry.name}:{registry.password}", f"oci:{layout}:v1",
        f"docker://{registry.host}/by/ctr:v1")
    ctr = ["ctr", "-a", containerd]
    who = ["--user", f"{registry.name}:{registry.password}", "--tlscacert", instance.ca]
    name = f"{registry.host}/by/ctr:v1"
    run(*ctr, "content", "fetch", *who, name)
    assert digest in run(*ctr, "images", "ls")
    held = run(*ctr, "content", "ls", "-q").split()
    with open(f"{layout}/blobs/sha256/{digest[7:]}") as f:
        manifest = json.load(f)
    assert {manifest["config"]["digest"], *(x["digest"] for x in manifest["layers"])} <= set(held)
    # To another repository, and the same again: what is there is not sent a second time.
    for copy in (f"{registry.host}/by/ctr-copy:v1", f"{registry.host}/by/ctr-copy:v2"):
        run(*ctr, "images", "tag", name, copy)
        run(*ctr, "images", "push", *who, copy)
    assert registry.call("GET", "/v2/by/ctr-copy/manifests/v2").headers["Docker-Content-Digest"] == \
        digest


def test_containerd_fetches_and_pushes_an_index(instance, registry, run, index, containerd):
    at, digest = index
    ctr = ["ctr", "-a", containerd]
    who = ["--user", f"{registry.name}:{registry.password}", "--tlscacert", instance.ca]
    run(*ctr, "content", "fetch", "--all-platforms", *who, at)
    assert digest in run(*ctr, "images", "ls")
    copy = f"{registry.host}/by/ctr-index:all"
    run(*ctr, "images", "tag", at, copy)
    run(*ctr, "images", "push", *who, copy)
    there = registry.call("GET", "/v2/by/ctr-index/manifests/all")
    assert there.headers["Docker-Content-Digest"] == digest
    for entry in there.json()["manifests"]:
        assert registry.call("HEAD",
                             f"/v2/by/ctr-index/manifests/{entry['digest']}").status_code == 200


def test_curl_from_challenge_to_bytes(instance, registry, run):
    digest = registry.push_image("by/curl", "v1", b"curl me")
    curl = ["curl", "-sS", "--cacert", instance.ca]
    head = run(*curl, "-o", "/dev/null", "-D", "-", f"{registry.url}/v2/")
    assert "401" in head.splitlines()[0]
    challenge = next(x for x in head.splitlines() if x.lower().startswith("www-authenticate"))
    assert f'Bearer realm="https://{registry.host}/oauth2/token",service="{registry.host}"' in challenge
    token = json.loads(run(*curl, "-u", f"{registry.name}:{registry.password}",
                           f"{registry.url}/oauth2/token?service={registry.host}"
                           "&scope=repository:by/curl:pull"))["access_token"]
    body = run(*curl, "-H", f"Authorization: Bearer {token}", "--http1.1",
               f"{registry.url}/v2/by/curl/manifests/v1")
    layer = json.loads(body)["layers"][0]["digest"]
    assert run(*curl, "-H", f"Authorization: Bearer {token}", "-r", "0-3",
               f"{registry.url}/v2/by/curl/blobs/{layer}") == "curl"
    status = run(*curl, "-o", "/dev/null", "-w", "%{http_code}", "-X", "DELETE", "-H",
                 f"Authorization: Bearer {token}", f"{registry.url}/v2/by/curl/manifests/{digest}")
    assert status in ("401", "403")
