"""docs/generated says what the programs' tables say; the OpenAPI document is sound and complete."""

import json
import os
import re
import subprocess

from support.instance import SUPPORT

ROOT = os.path.dirname(os.path.dirname(SUPPORT))
PAGES = os.path.join(ROOT, "docs", "generated")
BUILD = os.environ.get("PORTOLAN_BUILD_DIR", os.path.join(ROOT, "build", "release"))


def text(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def test_pages_are_up_to_date(tmp_path):
    subprocess.run([os.path.join(SUPPORT, "generate-docs"), BUILD, tmp_path], check=True)
    made = sorted(os.listdir(tmp_path))
    assert sorted(os.listdir(PAGES)) == made
    old = [name for name in made if text(os.path.join(PAGES, name)) != text(tmp_path / name)]
    assert old == [], f"./dev docs writes {old} anew"


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_openapi_is_sound():
    document = json.loads(text(os.path.join(PAGES, "openapi.json")))
    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas, reference
    seen = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["operationId"] not in seen, operation["operationId"]
            seen.add(operation["operationId"])
            names = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
            assert sorted(names) == sorted(re.findall(r"\{(\w+)\}", path)), (method, path)
            assert "api-version" in [p["name"] for p in operation["parameters"]]
    for schema in schemas.values():
        for member, value in schema.get("properties", {}).items():
            assert value, member


def test_every_path_of_it_is_answered(instance, group):
    """A GET of every collection is a list or names what is missing above it; no path is unknown."""
    place = f"/subscriptions/{instance.subscription}/resourceGroups/{group}"
    document = json.loads(text(os.path.join(PAGES, "openapi.json")))
    for path, methods in document["paths"].items():
        if "get" not in methods:
            continue
        versions = next(p for p in methods["get"]["parameters"] if p["name"] == "api-version")
        url = path.replace("/{scope}", place).replace("{subscriptionId}", instance.subscription).replace(
            "{resourceGroupName}", group).replace("{provider}", "Microsoft.ContainerRegistry")
        url = re.sub(r"\{\w+\}", "nosuchone", url)
        # Where versions depend on what the path names, one of these is known.
        for version in versions["schema"].get("enum", [])[:1] or ("2022-09-01", "2025-11-01"):
            reply = instance.arm("GET", url, api=version)
            if "InvalidApiVersionParameter" not in reply.text:
                break
        # What is not there any more was deleted, says the result of a deletion.
        gone = (204,) if path.endswith("/operationResults/{operation}") else ()
        assert reply.status_code in (200, 400, 404, *gone), (path, reply.text)
        if reply.status_code >= 400:
            assert reply.json()["error"]["code"] not in (
                "InvalidResourceType", "InvalidResourceNamespace", "NoRegisteredProviderFound",
                "InvalidApiVersionParameter"), (path, reply.text)


def test_every_route_is_in_it():
    """The document has a path for every row of the table of routes, by the description it has there."""
    document = json.loads(text(os.path.join(PAGES, "openapi.json")))
    told = {(method.upper(), re.sub(r"\{[^}]*\}", "{}", path)): operation.get("description")
            for path, methods in document["paths"].items() for method, operation in methods.items()}
    rows = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \| (.*?) \| (.*?) \|$",
                      text(os.path.join(PAGES, "routes.md")), re.M)
    rows = [row for row in rows if not row[1].endswith(("/", "{rest*}"))]
    assert len(rows) > 120
    for method, path, what, _ in rows:
        assert told[method, re.sub(r"\{[^}]*\}", "{}", path)] == what, (method, path)
