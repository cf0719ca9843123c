"""portolan-template from the outside: what it prints, its exit status, and errors that point."""

import json
import os
import subprocess

import pytest

BUILD = os.environ.get("PORTOLAN_BUILD_DIR")
PROGRAM = os.path.join(BUILD or "", "templates", "portolan-template")
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"

pytestmark = [
    pytest.mark.sanitized,
    pytest.mark.skipif(not os.path.exists(PROGRAM), reason="portolan-template is not built"),
]


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60)


@pytest.fixture
def template(tmp_path):
    def write(**members):
        path = tmp_path / "azuredeploy.json"
        path.write_text(json.dumps({"$schema": SCHEMA, "contentVersion": "1.0.0.0",
                                    "resources": [], **members}, indent=2))
        return str(path)
    return write


def resource(name, **members):
    return {"type": "ns/t", "apiVersion": "1", "name": name, **members}


def test_eval():
    done = run("eval", "uniqueString('hello', 'world')")
    assert (done.returncode, done.stdout) == (0, '"a7wkljktk6wne"\n')


def test_eval_points_at_the_mistake():
    done = run("eval", "[add(1, @)]")
    assert done.returncode == 1 and not done.stdout
    _, line, caret = done.stderr.rstrip("\n").split("\n")
    assert line[caret.index("^")] == "@"


def test_expand(template, tmp_path):
    path = template(
        parameters={"who": {"type": "string"}, "pw": {"type": "secureString"}},
        resources=[resource("[parameters('who')]", properties={"pw": "[parameters('pw')]"})])
    given = tmp_path / "parameters.json"
    given.write_text(json.dumps({"parameters": {"who": {"value": "me"}, "pw": {"value": "canary"}}}))
    done = run("expand", path, "--parameters", str(given), "--resource-group", "group")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["resources"][0]["id"].endswith("/resourceGroups/group/providers/ns/t/me")
    assert plan["resources"][0]["body"]["properties"] == {"pw": None}
    assert "canary" not in done.stdout
    shown = run("expand", path, "--parameters", str(given), "--show-secrets")
    assert json.loads(shown.stdout)["resources"][0]["body"]["properties"] == {"pw": "canary"}


def test_errors_point_at_line_and_column(template):
    path = template(outputs={"o": {"type": "string", "value": "[nosuch(1)]"}})
    for command in ("expand", "lint"):
        done = run(command, path)
        assert done.returncode == 1
        where, line, caret = done.stderr.rstrip("\n").split("\n")
        assert where.startswith(path + ":") and "nosuch" in where
        assert line[caret.index("^"):].startswith(('"[nosuch(1)]"', "nosuch(1)"))


def test_lint_finds(template):
    done = run("lint", template(parameters={"idle": {"type": "string"}}))
    assert done.returncode == 1 and "UnusedParameter" in done.stderr
    assert run("lint", template()).returncode == 0


def test_graph(template):
    done = run("graph", template(resources=[resource("a"), resource("b", dependsOn=["a"])]))
    assert done.returncode == 0
    assert done.stdout.startswith("graph TD\n") and "n0 --> n1" in done.stdout


def test_hash(template):
    done = run("hash", template())
    assert done.returncode == 0 and done.stdout.strip().isdigit()


@pytest.mark.parametrize("arguments", [(), ("nosuch",), ("expand",), ("expand", "a", "b"),
                                       ("expand", "a", "--nosuch"), ("eval", "--scope")])
def test_usage(arguments):
    done = run(*arguments)
    assert done.returncode == 2 and "usage:" in done.stderr


def test_absent_file():
    done = run("expand", "/nonexistent/azuredeploy.json")
    assert done.returncode == 1 and "error" in done.stderr
