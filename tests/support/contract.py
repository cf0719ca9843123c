"""Published API descriptions (swagger 2.0) as tests use them: operations with their examples, the schema
of each answer, and which members only the service writes."""

import functools
import json
import os
import re

import jsonschema

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SPECS = os.environ.get("PORTOLAN_SPECS", os.path.join(ROOT, "..", "shared", "specs"))


def is_there():
    return os.path.isdir(os.path.join(SPECS, "specification"))


@functools.lru_cache(maxsize=None)
def load(path):
    with open(path, encoding="utf-8-sig") as f:
        return json.load(f)


class Description:
    """One swagger file; others that it refers to are read on demand. Operations without examples of their own
    have those of the same operation in `others`."""

    def __init__(self, relative, others=()):
        self.path = os.path.realpath(os.path.join(SPECS, relative))
        self.text = load(self.path)
        self.version = self.text["info"]["version"]
        self.operations = {}
        for path, methods in self.text["paths"].items():
            shared = methods.get("parameters", [])
            for method, told in methods.items():
                if method != "parameters":
                    self.operations[told["operationId"]] = Operation(self, path, method.upper(), told,
                                                                     shared)
        for name, operation in self.operations.items():
            for other in others:
                if not operation.examples and name in other.operations:
                    operation.examples = other.operations[name].examples

    def resolve(self, node, base=None):
        """The node behind a chain of $refs, and the file it stands in."""
        base = base or self.path
        while "$ref" in node:
            file, _, pointer = node["$ref"].partition("#")
            if file:
                base = os.path.realpath(os.path.join(os.path.dirname(base), file))
            node = load(base)
            for part in pointer.strip("/").split("/"):
                node = node[part.replace("~1", "/").replace("~0", "~")]
        return node, base

    def problems(self, schema, body):
        """What is wrong with a body, a line for each thing."""
        resolver = jsonschema.RefResolver(f"file://{self.path}", self.text,
                                          handlers={"file": lambda url: load(url[len("file://"):])})
        validator = jsonschema.Draft4Validator(schema, resolver=resolver,
                                               format_checker=formats)
        return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}"
                for e in validator.iter_errors(body)]

    def read_only(self, schema, base=None, path=(), seen=()):
        """Paths of the members a client cannot write; members of lists are left out."""
        schema, base = self.resolve(schema, base)
        if id(schema) in seen:
            return
        seen += (id(schema),)
        for part in schema.get("allOf", []):
            yield from self.read_only(part, base, path, seen)
        for name, member in schema.get("properties", {}).items():
            target, _ = self.resolve(member, base)
            if member.get("readOnly") or target.get("readOnly"):
                yield path + (name,)
            else:
                yield from self.read_only(member, base, path + (name,), seen)


class Operation:
    def __init__(self, description, path, method, told, shared):
        self.description, self.path, self.method = description, path, method
        self.id = told["operationId"]
        self.group, _, self.verb = self.id.partition("_")
        self.is_long_running = told.get("x-ms-long-running-operation", False)
        self.responses = told["responses"]
        self.parameters = [description.resolve(p)[0] for p in shared + told.get("parameters", [])]
        folder = os.path.dirname(description.path)
        self.examples = {}
        for ref in (told.get("x-ms-examples") or {}).values():
            name = os.path.basename(ref["$ref"])[:-len(".json")]
            self.examples[name] = os.path.join(folder, ref["$ref"])

    def schema(self, status):
        return self.responses.get(str(status), {}).get("schema")

    def body_name(self):
        return next((p["name"] for p in self.parameters if p["in"] == "body"), None)

    def url(self, values):
        return re.sub(r"\{(\w+)\}", lambda m: values[m[1]], self.path)


def missing_members(expected, got, path=""):
    """Members of a recorded answer that ours lacks; of lists the first elements are compared."""
    if isinstance(expected, dict):
        if not isinstance(got, dict):
            return [] if expected == {} else [path]
        found = []
        for name, value in expected.items():
            if name not in got:
                if value not in (None, {}, []):
                    found.append(f"{path}/{name}")
            else:
                found += missing_members(value, got[name], f"{path}/{name}")
        return found
    if isinstance(expected, list) and expected and isinstance(got, list) and got:
        return missing_members(expected[0], got[0], f"{path}/0")
    return []


formats = jsonschema.FormatChecker(formats=())


@formats.checks("date-time")
def is_date_time(value):
    return not isinstance(value, str) or re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", value) is not None


@formats.checks("uuid")
def is_uuid(value):
    return not isinstance(value, str) or re.fullmatch(
        r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value) is not None
