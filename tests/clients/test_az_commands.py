"""Which commands of az there are in the groups that Portolan serves, and that the tests beside this one
drive each of them to success, or say here why not."""

import ast
import glob
import os
import subprocess

import pytest

from support.az import KINDS, interpreter

HERE = os.path.dirname(os.path.abspath(__file__))
GROUPS = ("acr", "group", "resource", "lock", "role", "tag", "provider", "identity", "keyvault",
          "network vnet", "network private-endpoint", "network private-dns")
LIST = """
from azure.cli.core import get_default_cli
cli = get_default_cli()
cli.invocation = cli.invocation_cls(cli_ctx=cli, commands_loader_cls=cli.commands_loader_cls,
                                    parser_cls=cli.parser_cls, help_cls=cli.help_cls)
for name in cli.invocation.commands_loader.load_command_table(None):
    print(name)
"""

# What is not driven: a command or a whole group of them, and the reason.
RUNS = "needs runs that are carried out"
HSM = "of managed HSMs, which Portolan does not have"
CERTIFICATES = "of certificates, which vaults here do not keep"
NOT_DRIVEN = {
    "acr artifact-streaming": "streams container images from a format that is Azure's own",
    "acr helm": "speaks the chart repository that ACR has retired; charts are OCI artifacts",
    "acr pack": RUNS,
    "acr taskrun logs": RUNS,
    "acr connected-registry resync": "of an api-version that is no part of the reference",
    "resource link": "Microsoft.Resources/links is not among the types",
    "role deny-assignment": "deny assignments are not among the types",
    "network private-endpoint asg": "application security groups are not among the types",
    "network vnet move-ip-configurations": "of machines' addresses, which networks here do not give",
    "keyvault certificate": CERTIFICATES,
    "keyvault storage": "of managed storage accounts, which Azure has retired",
    "keyvault backup": HSM,
    "keyvault restore": HSM,
    "keyvault ekm-connection": HSM,
    "keyvault region": HSM,
    "keyvault role": HSM,
    "keyvault security-domain": HSM,
    "keyvault setting": HSM,
    "keyvault update-hsm": HSM,
    "keyvault wait-hsm": HSM,
    "keyvault key get-attestation": HSM,
    "keyvault key random": HSM,
    "keyvault check-name": "asks for a managed HSM's name first",
    "keyvault private-endpoint-connection": "vaults here have no private endpoints",
    "keyvault private-link-resource": "vaults here have no private endpoints",
}
# Of Debian's az: its own libraries are of other versions than it.
NOT_LOADED = {"debian": ("network", "role assignment", "role definition", "keyvault key",
                         "keyvault secret")}


def of_groups(command):
    return any(command.startswith(group + " ") for group in GROUPS)


def alternatives(function):
    """What the variables of a function's loops over written-out words stand for."""
    found = {}
    for node in ast.walk(function):
        if not isinstance(node, ast.For):
            continue
        try:
            rows = ast.literal_eval(node.iter)
        except ValueError:
            continue
        if isinstance(node.target, ast.Name):
            found[node.target.id] = rows
        else:
            for name, column in zip(node.target.elts, zip(*rows)):
                found[name.id] = column
    return found


def words_of(call, loops):
    """The commands that a call stands for; one that is to fail drives none."""
    if any(k.arg == "ok" for k in call.keywords):
        return []
    commands = [""]
    is_passed_on = call.args and isinstance(call.args[0], ast.Name) and call.args[0].id == "az"
    for argument in call.args[1:] if is_passed_on else call.args:
        if isinstance(argument, ast.Name) and argument.id in loops:
            choices = loops[argument.id]
        elif isinstance(argument, ast.Constant) and isinstance(argument.value, str) and \
                argument.value and argument.value[0].isalpha():
            choices = [argument.value]
        else:
            break
        commands = [f"{c} {word}".strip() for c in commands for word in choices]
    return commands


def driven():
    """Every beginning of words that the tests call an az with."""
    found = set()
    for path in glob.glob(os.path.join(HERE, "test_*.py")):
        with open(path, encoding="utf-8") as f:
            tree = ast.parse(f.read())
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            loops = alternatives(function)
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                    found.update(words_of(call, loops))
    return found


def excuse(command):
    return next((at for at in NOT_DRIVEN if (command + " ").startswith(at + " ")), None)


@pytest.fixture(scope="module", params=KINDS)
def commands(request, tmp_path_factory):
    env = {**os.environ, "AZURE_CONFIG_DIR": str(tmp_path_factory.mktemp("az")),
           "AZURE_CORE_COLLECT_TELEMETRY": "no"}
    env.pop("PYTHONPATH", None)
    done = subprocess.run([interpreter(request.param), "-c", LIST], text=True, capture_output=True,
                          timeout=300, env=env)
    assert done.returncode == 0, done.stderr
    names = [n for n in done.stdout.splitlines() if of_groups(n)]
    unloadable = NOT_LOADED.get(request.param, ())
    return [n for n in names if not any(n.startswith(x + " ") for x in unloadable)]


def test_every_command_is_driven(commands):
    assert len(commands) > 200
    seen = driven()
    missing = [c for c in commands if c not in seen and not excuse(c)]
    assert missing == [], missing


def test_no_reason_is_stale():
    seen = driven()
    stale = [c for c in seen if of_groups(c) and excuse(c)]
    assert stale == [], stale
