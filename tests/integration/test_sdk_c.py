"""The C client library and the portolan command, from the outside: against an instance, and against a host
that misbehaves on purpose."""

import http.server
import json
import os
import re
import shutil
import stat
import subprocess
import threading
import time

import pytest

from support.instance import GROUPS_API, eventually, sanitizer_reports

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
BUILD = os.environ.get("PORTOLAN_BUILD_DIR", os.path.join(ROOT, "build", "release"))
PROGRAM = os.path.join(BUILD, "sdk", "portolan")

pytestmark = pytest.mark.sanitized


def run(env, *arguments, given=None):
    done = subprocess.run([PROGRAM, *arguments], text=True, capture_output=True, timeout=120,
                          input=given, env={"PATH": os.environ["PATH"], **env})
    assert sanitizer_reports(done.stderr) == []
    return done


@pytest.fixture
def shell(instance, tmp_path):
    """The environment of a shell that has run `eval "$(./dev env)"`."""
    return {**instance.env, "XDG_CONFIG_HOME": str(tmp_path / "config")}


def ok(env, *arguments, **options):
    done = run(env, *arguments, **options)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def test_registries(shell, instance, group):
    server = ok(shell, "registry", "create", f"{group}one", "--group", group, "--sku", "standard",
                "--admin", "--query", "properties.loginServer").strip()
    assert server == f"{group}one.cr.{instance.domain}:{instance.port}"
    shown = json.loads(ok(shell, "registry", "show", f"{group}one", "--group", group))
    assert shown["properties"]["provisioningState"] == "Succeeded"
    assert shown["sku"]["name"] == "Standard" and shown["properties"]["adminUserEnabled"] is True
    assert f"{group}one" in ok(shell, "registry", "list", "--query", "name").splitlines()
    assert [r["name"] for r in json.loads(ok(shell, "registry", "list", "--group", group))] == \
        [f"{group}one"]
    # What it made takes a push with the password it shows.
    password = ok(shell, "registry", "credentials", f"{group}one", "--group", group, "--query",
                  "passwords.0.value").strip()
    assert instance.session.get(f"https://{server}/v2/", auth=(f"{group}one", password)
                                ).status_code == 200
    why = ("registry", "why", f"{group}one", "--group", group, "--repository", "a", "--action")
    assert json.loads(ok(shell, *why, "pull", "--user", f"{group}one")) == {
        "access": "Allowed", "decidedBy": "adminUser"}
    assert ok(shell, *why, "pull", "--query", "decidedBy") == "anonymousPullDisabled\n"
    assert ok(shell, "registry", "reach", f"{group}one", "--group", group, "--address", "192.0.2.1",
              "--query", "access") == "Allowed\n"
    ok(shell, "registry", "delete", f"{group}one", "--group", group)
    gone = run(shell, "registry", "show", f"{group}one", "--group", group)
    assert gone.returncode == 1 and "no registry" in gone.stderr and not gone.stdout


def test_any_resource(shell, instance, registry):
    scope_map = f"{registry.id}/scopeMaps/readers"
    body = {"properties": {"actions": ["repositories/a/content/read"]}}
    made = json.loads(ok(shell, "put", scope_map, "--body", "-", given=json.dumps(body)))
    assert made["properties"]["actions"] == body["properties"]["actions"]
    ok(shell, "patch", scope_map, "--body", '{"properties":{"description":"who reads"}}')
    assert ok(shell, "get", scope_map, "--query", "properties.description") == "who reads\n"
    ok(shell, "put", f"{registry.id}/tokens/device", "--body",
       json.dumps({"properties": {"scopeMapId": scope_map}}))
    password = ok(shell, "token", "credentials", registry.name, "device", "--group", registry.group,
                  "--name", "password1", "--query", "passwords.0.value").strip()
    eventually(lambda: instance.session.get(f"{registry.url}/v2/", auth=("device", password)
                                            ).status_code == 200)
    checked = ok(shell, "post", f"/subscriptions/{instance.subscription}/providers/"
                 "Microsoft.ContainerRegistry/checkNameAvailability", "--body",
                 json.dumps({"name": registry.name, "type": "Microsoft.ContainerRegistry/registries"}))
    assert json.loads(checked)["nameAvailable"] is False
    names = ok(shell, "list", f"{registry.id}/scopeMaps?$top=1", "--query", "name").split()
    assert "readers" in names and len(names) == len(set(names)) >= 4  # three are the system's
    ok(shell, "delete", f"{registry.id}/tokens/device")
    ok(shell, "delete", scope_map)
    absent = run(shell, "get", scope_map)
    assert absent.returncode == 1 and absent.stderr.startswith("portolan: ResourceNotFound: ")
    old = ok(shell, "get", registry.id, "--api-version", "2019-05-01")
    assert "roleAssignmentMode" not in old
    # Every kind of thing has its api-version found.
    sub = f"/subscriptions/{instance.subscription}"
    for path in ("/tenants", "/subscriptions", "/providers", f"{sub}/locations", f"{sub}/resources",
                 f"{sub}/resourceGroups", f"{sub}/providers/Microsoft.Authorization/locks",
                 f"{sub}/providers/Microsoft.Authorization/roleAssignments",
                 f"{sub}/providers/Microsoft.KeyVault/vaults",
                 f"{sub}/providers/Microsoft.Network/virtualNetworks",
                 f"{sub}/providers/Microsoft.Resources/deployments",
                 f"{sub}/providers/Microsoft.Resources/deploymentStacks"):
        ok(shell, "list", path)


def test_deployments(shell, group, tmp_path):
    template = tmp_path / "template.json"
    template.write_text("""{ // with a comment
      "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
      "contentVersion": "1.0.0.0", "parameters": {"name": {"type": "string"}},
      "resources": [{"type": "Microsoft.ContainerRegistry/registries", "apiVersion": "2025-11-01",
        "name": "[parameters('name')]", "location": "eastus", "sku": {"name": "Basic"}}],
      "outputs": {"server": {"type": "string",
        "value": "[reference(parameters('name')).loginServer]"}}}""")
    parameters = tmp_path / "parameters.json"
    parameters.write_text(json.dumps({"parameters": {"name": {"value": f"{group}two"}}}))
    files = ("--group", group, "--template", str(template), "--parameters", str(parameters))
    assert ok(shell, "deploy", "validate", *files, "--query", "properties.provisioningState") == \
        "Succeeded\n"
    assert ok(shell, "deploy", "what-if", *files, "--query", "properties.changes.0.changeType") == \
        "Create\n"
    assert ok(shell, "deploy", "create", *files, "--query", "properties.outputs.server.value"
              ).startswith(f"{group}two.cr.")
    assert ok(shell, "deploy", "what-if", *files, "--query", "properties.changes.0.changeType") == \
        "NoChange\n"
    template.write_text('{"$schema": "x",\n  oops}')
    broken = run(shell, "deploy", "validate", *files)
    assert broken.returncode == 1 and "line 2" in broken.stderr, broken.stderr


def test_profile(shell, instance, tmp_path):
    bare = {"XDG_CONFIG_HOME": shell["XDG_CONFIG_HOME"]}
    refused = run(bare, "group", "list")
    assert refused.returncode == 1 and "PORTOLAN_MANAGEMENT" in refused.stderr
    wrong = run({**shell, "AZURE_CLIENT_SECRET": "wrong"}, "login")
    assert wrong.returncode == 1 and "SignInFailed" in wrong.stderr
    assert not os.path.exists(tmp_path / "config")
    ok(shell, "login")
    profile = tmp_path / "config" / "portolan" / "profile"
    assert stat.S_IMODE(profile.stat().st_mode) == 0o600
    ok(bare, "group", "list")
    flag = run(bare, "group", "list", "--client-secret", "seen-by-all")
    assert flag.returncode == 2 and "AZURE_CLIENT_SECRET" in flag.stderr
    ok(bare, "logout")
    assert not profile.exists()
    ok(bare, "logout")


def test_help_and_mistakes(shell):
    for words in (["help"], ["--help"], ["registry", "create", "--help"]):
        assert ok(shell, *words).startswith("usage: portolan")
    assert ok(shell, "--version").startswith("portolan ")
    for words in ([], ["nonsense"], ["get"], ["get", "/a", "/b"], ["registry", "create", "x"],
                  ["put", "/subscriptions"], ["get", "/tenants", "--prot", "1"],
                  ["put", "/subscriptions", "--body", "@/does/not/exist"],
                  ["registry", "show", "a/b", "--group", "c"]):
        done = run(shell, *words)
        assert done.returncode == 2 and done.stderr and not done.stdout, words
    assert run(shell, "get", "no path").returncode == 1


def test_control_plane_killed_under_a_command(own_instance, tmp_path):
    """The command waits for the service to come back, and its operation ends."""
    env = {**own_instance.env, "XDG_CONFIG_HOME": str(tmp_path)}
    ok(env, "group", "create", "killed")
    for i in range(3):
        command = subprocess.Popen([PROGRAM, "registry", "create", f"killed{i}", "--group", "killed"],
                                   env={"PATH": os.environ["PATH"], **env}, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.05 * i)
        own_instance.kill("controlplane")
        out, errors = command.communicate(timeout=120)
        assert command.returncode == 0, errors
        assert json.loads(out)["properties"]["provisioningState"] == "Succeeded"
        time.sleep(1.1)  # the supervisor paces restarts of a service younger than a second
    own_instance.delete(own_instance.group_id("killed"), api=GROUPS_API)


# --- a host that misbehaves -----------------------------------------------------------------------

class Host(http.server.BaseHTTPRequestHandler):
    """Answers from a list of (status, headers, body) by path; the last of a list stays."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("?")[0]
        self.server.seen.append((self.command, path, self.headers.get("Authorization")))
        replies = self.server.replies[path]
        status, headers, body = replies.pop(0) if len(replies) > 1 else replies[0]
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = answer


@pytest.fixture
def host(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
    server.seen = []
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    server.replies = {"/t/oauth2/v2.0/token": [(200, {}, {"access_token": f"token{n}",
                                                          "expires_in": 3600}) for n in (1, 2)]}
    server.env = {"PORTOLAN_MANAGEMENT": server.url, "PORTOLAN_LOGIN": server.url,
                  "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s",
                  "AZURE_SUBSCRIPTION_ID": "u", "XDG_CONFIG_HOME": str(tmp_path)}
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


VERSION = ("--api-version", "1")


def test_it_is_asked_again(host):
    host.replies["/busy"] = [(429, {"Retry-After": "0"}, {}), (503, {}, {}), (200, {}, {"it": "came"})]
    assert json.loads(ok(host.env, "get", "/busy", *VERSION)) == {"it": "came"}
    host.replies["/late"] = [(401, {}, {}), (200, {}, {"it": "came"})]
    ok(host.env, "get", "/late", *VERSION)
    assert [who for _, path, who in host.seen if path == "/late"] == ["Bearer token2"] * 2 or \
        [who for _, path, who in host.seen if path == "/late"] == ["Bearer token1", "Bearer token2"]
    host.replies["/never"] = [(401, {}, {"error": {"code": "No", "message": "Not you."}})]
    refused = run(host.env, "get", "/never", *VERSION)
    assert refused.returncode == 1 and refused.stderr == "portolan: No: Not you.\n"
    assert len([1 for _, path, _ in host.seen if path == "/never"]) == 2


def test_operations_are_followed(host):
    for style, first in (("status", {"Azure-AsyncOperation": f"{host.url}/op"}),
                         ("location", {"Location": f"{host.url}/result"})):
        host.replies["/thing"] = [(202, first, {})]
        host.replies["/op"] = [(200, {}, {"status": s}) for s in ("Creating", "Running", "Succeeded")]
        host.replies["/result"] = [(202, {}, {}), (202, {}, {}), (200, {}, {"done": style})]
        ok(host.env, "post", "/thing", *VERSION)
        assert len([1 for _, path, _ in host.seen if path == "/op"]) == 3
    assert len([1 for _, path, _ in host.seen if path == "/result"]) == 3
    host.replies["/op"] = [(200, {}, {"status": "Failed",
                                      "error": {"code": "Broke", "message": "It broke."}})]
    host.replies["/thing"] = [(201, {"Azure-AsyncOperation": f"{host.url}/op"}, {})]
    failed = run(host.env, "put", "/thing", "--body", "{}", *VERSION)
    assert failed.returncode == 1 and failed.stderr == "portolan: Broke: It broke.\n"
    asked = len([1 for _, path, _ in host.seen if path == "/op"])
    ok(host.env, "put", "/thing", "--body", "{}", "--no-wait", *VERSION)
    assert len([1 for _, path, _ in host.seen if path == "/op"]) == asked


def test_the_token_goes_to_no_other_host(host):
    """Neither the next page nor an operation's address may lead the token astray."""
    thief = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
    thief.seen, thief.replies = [], {"/x": [(200, {}, {"value": [], "status": "Succeeded"})]}
    thread = threading.Thread(target=thief.serve_forever, args=(0.01,))
    thread.start()
    try:
        elsewhere = f"http://127.0.0.1:{thief.server_address[1]}/x"
        host.replies["/list"] = [(200, {}, {"value": [{"a": 1}], "nextLink": elsewhere})]
        host.replies["/thing"] = [(202, {"Azure-AsyncOperation": elsewhere}, {})]
        for words in (["list", "/list"], ["delete", "/thing"]):
            done = run(host.env, *words, *VERSION)
            assert done.returncode == 1 and "not at the management host" in done.stderr
        assert thief.seen == []
    finally:
        thief.shutdown()
        thief.server_close()
        thread.join()


def test_lists_are_read_to_their_end(host):
    pages = [{"value": [{"n": n}], "nextLink": f"{host.url}/list?page={n + 1}"} for n in range(30)]
    host.replies["/list"] = [(200, {}, p) for p in pages] + [(200, {}, {"value": [{"n": 30}]})]
    assert ok(host.env, "list", "/list", "--query", "n", *VERSION).split() == \
        [str(n) for n in range(31)]


# --- the library, as others link it ----------------------------------------------------------------

def test_examples(shell, instance, group):
    env = {"PATH": os.environ["PATH"], **shell}
    name = f"{group}example"
    done = subprocess.run([os.path.join(BUILD, "sdk", "example_push_ready"), group, name], text=True,
                          capture_output=True, env=env, timeout=120)
    assert done.returncode == 0 and done.stdout.startswith(f"skopeo login -u {name} -p "), done.stderr
    done = subprocess.run([os.path.join(BUILD, "sdk", "example_list_registries")], text=True,
                          capture_output=True, env=env, timeout=120)
    assert done.returncode == 0 and f"{name}.cr." in done.stdout, done.stderr


def test_only_the_public_names_are_shown():
    shown = subprocess.run(["nm", "-D", "--defined-only", os.path.join(BUILD, "sdk", "libportolan.so")],
                           text=True, capture_output=True, check=True).stdout
    names = {line.split()[-1] for line in shown.splitlines()}
    header = open(os.path.join(ROOT, "sdk", "include", "portolan.h")).read()
    ours = {n for n in names if not n.startswith(("__asan", "__ubsan", "__odr_asan"))}
    assert ours and all(n.startswith("portolan_") and f"{n}(" in header for n in ours), ours


def test_installed_it_builds_a_program_of_others(shell, group, tmp_path):
    """cmake --install, pkg-config, a C and a C++ compiler: nothing else of this tree is needed."""
    prefix = tmp_path / "prefix"
    subprocess.run(["cmake", "--install", BUILD, "--component", "sdk", "--prefix", str(prefix)],
                   check=True, capture_output=True)
    pc = next(prefix.rglob("portolan.pc"))
    flags = subprocess.run(["pkg-config", f"--define-variable=prefix={prefix}", "--cflags", "--libs",
                            str(pc)], text=True, capture_output=True, check=True).stdout.split()
    source = tmp_path / "list_registries.c"
    shutil.copy(os.path.join(ROOT, "sdk", "examples", "list_registries.c"), source)
    sanitize = ["-fsanitize=address,undefined"] if "asan" in subprocess.run(
        ["ldd", next(prefix.rglob("libportolan.so"))], text=True, capture_output=True).stdout else []
    for compiler in (["gcc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic"],
                     ["g++", "-x", "c++", "-Wall", "-Wextra"]):
        program = tmp_path / f"of-others-{compiler[0]}"
        subprocess.run([*compiler, *sanitize, str(source), "-o", str(program), *flags,
                        f"-Wl,-rpath,{pc.parent.parent}"], check=True)
        done = subprocess.run([str(program)], text=True, capture_output=True, timeout=60,
                              env={"PATH": os.environ["PATH"], **shell})
        assert done.returncode == 0 and "registries" in done.stdout, done.stderr


def test_docs(shell, tmp_path):
    """The commands of docs/sdk.md, in order, in one shell; the code it shows is the code there is."""
    text = open(os.path.join(ROOT, "docs", "sdk.md")).read()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    assert len(blocks) == 3
    done = subprocess.run(["bash", "-c", "set -euo pipefail\n" + "\n".join(blocks)], text=True,
                          env={**os.environ, **shell}, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '"scopeMapLacksAction"' in done.stdout and "Create\nSucceeded\n" in done.stdout
    for path, piece in re.findall(r"From `([^`]+)`:\n\n```c\n(.*?)```", text, re.S):
        assert piece in open(os.path.join(ROOT, path)).read()
