"""az, unmodified, with a configuration directory of its own that knows the instance as a cloud."""

import json
import os
import shutil
import subprocess

import pytest

from support import sdk

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "az_server.py")
KINDS = ("debian", "newest")  # Debian's own, and the newest that is published
# For tests of what Debian's has no commands for, or cannot load because its own libraries are of
# other versions than it.
newest_only = pytest.mark.parametrize("az", ["newest"], indirect=True)


def newest():
    """The folder of the newest published az."""
    return os.path.dirname(sdk.python(sdk.AZURE_CLI))


def interpreter(kind):
    if kind == "newest":
        return os.path.join(newest(), "python")
    if shutil.which("az") is None:
        pytest.skip("az is not installed")
    return "/usr/bin/python3"


class Az:
    """Called with its arguments. Its program is started once, at the first command (az_server.py)."""

    def __init__(self, instance, folder, kind="debian"):
        self.instance = instance
        self.kind = kind
        self.interpreter = interpreter(kind)
        self.server = None
        self.env = {**os.environ, **instance.env, "AZURE_CONFIG_DIR": str(folder),
                    "REQUESTS_CA_BUNDLE": instance.ca, "AZURE_CORE_COLLECT_TELEMETRY": "no",
                    "AZURE_CORE_NO_COLOR": "yes", "AZURE_CORE_ONLY_SHOW_ERRORS": "yes"}
        if kind == "newest":  # what a shell in this environment calls az
            self.env["PATH"] = f"{newest()}:{self.env['PATH']}"

    def run(self, arguments):
        if self.server is None:
            env = {name: value for name, value in self.env.items() if name != "PYTHONPATH"}
            self.server = subprocess.Popen([*self.instance.inside, self.interpreter, "-P", SERVER],
                                           env=env, text=True,
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        print(json.dumps(arguments), file=self.server.stdin, flush=True)
        return json.loads(self.server.stdout.readline())

    def __call__(self, *arguments, ok=True):
        """What it prints, read where it is JSON; ok=False: what it says of its failure."""
        done = self.run(arguments)
        if not ok:
            assert done["code"] != 0, done["out"]
            return done["err"]
        assert done["code"] == 0, f"az {' '.join(arguments[:4])}: {done['err']}\n" \
            f"{self.instance.log_tail(20)}"
        try:
            return json.loads(done["out"]) if done["out"].strip() else None
        except ValueError:
            return done["out"]

    def other(self, kind):
        """Another az with the same configuration."""
        return Az(self.instance, self.env["AZURE_CONFIG_DIR"], kind)

    def register(self):
        """As the README has it: az asks the instance for everything else."""
        it = self.instance
        self("cloud", "register", "-n", "portolan", "--endpoint-resource-manager", it.management,
             "--suffix-acr-login-server-endpoint", f".cr.{it.domain}{it.at_port}")
        self("cloud", "set", "-n", "portolan")
        return self

    def register_whole(self):
        """With the directory and the vaults. az 2.45 reads no Graph endpoint from the metadata; given
        a configuration, it wants all. Later ones read everything."""
        if self.kind == "newest":
            return self.register()
        it = self.instance
        graph = it.management.replace("//management.", "//graph.")
        self("cloud", "register", "-n", "portolan", "--cloud-config", json.dumps({
            "endpoints": {"resourceManager": it.management, "management": it.management,
                          "activeDirectory": f"{it.login}/adfs",
                          "activeDirectoryResourceId": it.management,
                          "activeDirectoryGraphResourceId": f"{graph}/",
                          "microsoftGraphResourceId": f"{graph}/"},
            "suffixes": {"acrLoginServerEndpoint": f".cr.{it.domain}{it.at_port}",
                         "storageEndpoint": f"{it.domain}{it.at_port}",
                         "keyvaultDns": f".vault.{it.domain}{it.at_port}"}}))
        self("cloud", "set", "-n", "portolan")
        return self

    def sign_in(self):
        """As the instance's first service principal."""
        self("login", "--service-principal", "-u", self.instance.env["AZURE_CLIENT_ID"],
             "-p", self.instance.env["AZURE_CLIENT_SECRET"], "--tenant", self.instance.tenant)
        return self
