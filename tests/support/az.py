"""az, unmodified, with a configuration directory of its own that knows the instance as a cloud."""

import json
import os
import subprocess

import pytest


class Az:
    def __init__(self, instance, folder):
        self.instance = instance
        self.env = {**os.environ, **instance.env, "AZURE_CONFIG_DIR": str(folder),
                    "REQUESTS_CA_BUNDLE": instance.ca, "AZURE_CORE_COLLECT_TELEMETRY": "no",
                    "AZURE_CORE_NO_COLOR": "yes", "AZURE_CORE_ONLY_SHOW_ERRORS": "yes"}
        graph = instance.management.replace("//management.", "//graph.")
        # az 2.45 reads no Graph endpoint from the metadata; given a configuration, it wants all.
        self("cloud", "register", "-n", "portolan", "--cloud-config", json.dumps({
            "endpoints": {"resourceManager": instance.management, "management": instance.management,
                          "activeDirectory": f"{instance.login}/adfs",
                          "activeDirectoryResourceId": instance.management,
                          "activeDirectoryGraphResourceId": f"{graph}/",
                          "microsoftGraphResourceId": f"{graph}/"},
            "suffixes": {"acrLoginServerEndpoint": f".cr.{instance.domain}:{instance.port}"}}))
        self("cloud", "set", "-n", "portolan")

    def __call__(self, *arguments, ok=True):
        done = subprocess.run(["az", *arguments], env=self.env, text=True, capture_output=True,
                              timeout=180)
        if not ok:
            assert done.returncode != 0
            return done.stderr
        if "has no attribute 'config'" in done.stderr:
            pytest.skip("this az and its own authorization SDK are of different versions")
        assert done.returncode == 0, f"az {' '.join(arguments[:4])}: {done.stderr}\n" \
            f"{self.instance.log_tail(20)}"
        return json.loads(done.stdout) if done.stdout.strip() else None
