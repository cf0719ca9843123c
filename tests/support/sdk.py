"""Published client libraries for tests, installed by name into a cache that later runs use again:
PyPI packages in virtual environments, npm packages in folders, Go programs built from modules."""

import fcntl
import hashlib
import os
import shutil
import subprocess

import pytest

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                     "portolan-tests")
GO_NEEDED = (1, 24)
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


def node(*packages):
    """A folder whose node_modules has these npm packages ("name@version")."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js and npm are not installed")

    def install(folder):
        run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, *packages])
    return installed("node", packages, install)


def need_go():
    if shutil.which("go") is None:
        pytest.skip("Go is not installed")
    version = run(["go", "env", "GOVERSION"]).strip().removeprefix("go").split(".")
    if tuple(int(part) for part in version[:2]) < GO_NEEDED:
        pytest.skip(f"Go {'.'.join(version)} is too old; {'.'.join(map(str, GO_NEEDED))} is needed")


def go_environment():
    """With cgo, so that programs resolve names as the system does (names below localhost)."""
    return {**os.environ, "GOFLAGS": "-mod=mod", "CGO_ENABLED": "1"}


def go_program(module, name=None):
    """A program installed from a module ("module/path@version")."""
    need_go()

    def install(folder):
        run(["go", "install", module], env={**go_environment(), "GOBIN": folder})
    folder = installed("gobin", [module], install)
    return os.path.join(folder, name or module.split("@")[0].rsplit("/", 1)[-1])


def go_test_program(source, *modules):
    """Builds a main.go of the tests with these modules ("path@version")."""
    need_go()
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
