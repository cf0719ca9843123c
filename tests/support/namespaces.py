"""Real networks for tests: bridges and network namespaces on this machine, removed by whoever made
them. Where the machine allows none, the tests that need them are skipped and say so."""

import os
import shutil
import subprocess
import uuid

import pytest


def ip(*arguments, check=True):
    return subprocess.run(["ip", *map(str, arguments)], check=check, text=True, capture_output=True,
                          timeout=30)


class Wires:
    """Bridges and namespaces under one tag. Names of interfaces have at most 15 bytes."""

    def __init__(self):
        self.tag = uuid.uuid4().hex[:5]
        self.bridges, self.spaces = [], []

    def bridge(self, name, *addresses):
        device = f"pt{self.tag}{name}"
        ip("link", "add", device, "type", "bridge")
        self.bridges.append(device)
        for address in addresses:
            ip("addr", "add", address, "dev", device)
        ip("link", "set", device, "up")
        return device

    def space(self, name, bridge, *addresses, routes=(), dns=None):
        """A namespace with an interface `eth` on the bridge; dns: its name server."""
        space = f"pt-{self.tag}-{name}"
        near = f"pt{self.tag}{len(self.spaces)}v"
        ip("netns", "add", space)
        self.spaces.append(space)
        ip("link", "add", near, "type", "veth", "peer", "name", "eth", "netns", space)
        ip("link", "set", near, "master", bridge, "up")
        ip("-n", space, "link", "set", "lo", "up")
        ip("-n", space, "link", "set", "eth", "up")
        for address in addresses:
            ip("-n", space, "addr", "add", address, "dev", "eth")
        for route in routes:
            ip("-n", space, "route", "add", *route.split())
        if dns:
            self.etc(space, dns)
        return space

    def alone(self, name):
        """A namespace with nothing but a loopback."""
        space = f"pt-{self.tag}-{name}"
        ip("netns", "add", space)
        self.spaces.append(space)
        ip("-n", space, "link", "set", "lo", "up")
        return space

    @staticmethod
    def etc(space, dns):
        """What `ip netns exec` lays over /etc: names come from that server alone."""
        folder = f"/etc/netns/{space}"
        os.makedirs(folder)
        with open(f"{folder}/resolv.conf", "w") as f:
            f.write(f"nameserver {dns}\noptions timeout:1 attempts:5\n")
        with open(f"{folder}/nsswitch.conf", "w") as f:
            f.write("hosts: dns\n")

    def remove(self):
        for space in self.spaces:
            ip("netns", "del", space, check=False)
            shutil.rmtree(f"/etc/netns/{space}", ignore_errors=True)
        for device in self.bridges:
            ip("link", "del", device, check=False)

    @staticmethod
    def run(space, *command, timeout=60, **options):
        return subprocess.run(["ip", "netns", "exec", space, *map(str, command)], text=True,
                              capture_output=True, timeout=timeout, **options)


def why_none():
    """Why this machine allows no wires; None: it does."""
    if os.getuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root and iproute2"
    wires = Wires()
    try:
        wires.space("look", wires.bridge("look"))
    except subprocess.CalledProcessError as refused:
        return f"this machine allows no namespaces with bridges: {refused.stderr.strip()}"
    finally:
        wires.remove()
    return None


def wires_or_skip():
    """New wires, after a look whether the machine allows any."""
    if reason := why_none():
        pytest.skip(reason)
    return Wires()
