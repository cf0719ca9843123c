"""az, unmodified, with a configuration directory of its own that knows the instance as a cloud."""

import json
import os
import subprocess

import pytest

from support import sdk


def newest():
    """The folder of the newest published az."""
    return os.path.dirname(sdk.python(sdk.AZURE_CLI))


class Az:
    """Called with its arguments. program: another az than the one in PATH."""

    def __init__(self, instance, folder, program="az"):
        self.instance = instance
        self.program = program
        self.env = {**os.environ, **instance.env, "AZURE_CONFIG_DIR": str(folder),
                    "REQUESTS_CA_BUNDLE": instance.ca, "AZURE_CORE_COLLECT_TELEMETRY": "no",
                    "AZURE_CORE_NO_COLOR": "yes", "AZURE_CORE_ONLY_SHOW_ERRORS": "yes"}

    def __call__(self, *arguments, ok=True):
        """What it prints, read where it is JSON; ok=False: what it says of its failure."""
        done = subprocess.run([self.program, *arguments], env=self.env, text=True,
                              capture_output=True, timeout=300)
        if not ok:
            assert done.returncode != 0
            return done.stderr
        if "has no attribute 'config'" in done.stderr:
            pytest.skip("this az and its own authorization SDK are of different versions")
        assert done.returncode == 0, f"az {' '.join(arguments[:4])}: {done.stderr}\n" \
            f"{self.instance.log_tail(20)}"
        try:
            return json.loads(done.stdout) if done.stdout.strip() else None
        except ValueError:
            return done.stdout

    def other(self, program):
        """Another az with the same configuration."""
        return Az(self.instance, self.env["AZURE_CONFIG_DIR"], program)

    def register(self):
        """As the README has it: az asks the instance for everything else."""
        it = self.instance
        self("cloud", "register", "-n", "portolan", "--endpoint-resource-manager", it.management,
             "--suffix-acr-login-server-endpoint", f".cr.{it.domain}:{it.port}")
        self("cloud", "set", "-n", "portolan")
        return self

    def register_whole(self):
        """With the directory and the vaults. az 2.45 reads no Graph endpoint from the metadata; given
        a configuration, it wants all."""
        it = self.instance
        graph = it.management.replace("//management.", "//graph.")
        self("cloud", "register", "-n", "portolan", "--cloud-config", json.dumps({
            "endpoints": {"resourceManager": it.management, "management": it.management,
                          "activeDirectory": f"{it.login}/adfs",
                          "activeDirectoryResourceId": it.management,
                          "activeDirectoryGraphResourceId": f"{graph}/",
                          "microsoftGraphResourceId": f"{graph}/"},
            "suffixes": {"acrLoginServerEndpoint": f".cr.{it.domain}:{it.port}",
                         "keyvaultDns": f".vault.{it.domain}:{it.port}"}}))
        self("cloud", "set", "-n", "portolan")
        return self

    def sign_in(self):
        """As the instance's first service principal."""
        self("login", "--service-principal", "-u", self.instance.env["AZURE_CLIENT_ID"],
             "-p", self.instance.env["AZURE_CLIENT_SECRET"], "--tenant", self.instance.tenant)
        return self
