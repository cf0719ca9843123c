"""Prints docs/generated/gallery.md: every template of templates/gallery with its parameters, outputs,
a command that deploys it, and what depends on what in it, as portolan-template draws it.

usage: gallery_page.py PORTOLAN-TEMPLATE"""

import json
import os
import subprocess
import sys
import tempfile

GALLERY = os.path.join(os.path.dirname(__file__), "..", "..", "templates", "gallery")
# What has no default, or shows more when it is given.
EXAMPLES = {
    "fleet-tokens.json": {"devices": ["device-1", "device-2"]},
    "registry-cmk.json": {"vaultName": "contoso-keys",
                          "keyIdentifier": "https://contoso-keys.vault.portolan.localhost/keys/acr"},
    "registry-firewall.json": {"allowedNetworks": ["192.0.2.0/24"]},
    "registry-geo.json": {"acrReplicaLocation": "westeurope"},
    "registry-private-endpoint.json": {"privateZone": "privatelink.cr.portolan.localhost"},
    "webhooks.json": {"serviceUri": "https://hooks.example.com/pushed",
                      "authorization": "Bearer secret"},
}


def shown(value):
    return f"`{json.dumps(value, ensure_ascii=False)}`" if value is not None else ""


def parameter(name, declared):
    default = shown(declared["defaultValue"]) if "defaultValue" in declared else "must be given"
    about = declared.get("metadata", {}).get("description", "")
    allowed = declared.get("allowedValues")
    if allowed:
        about += " One of " + ", ".join(str(v) for v in allowed) + "."
    return f"| `{name}` | {declared['type']} | {default} | {about} |"


def argument(name, value):
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{name}='{text}'" if not text.isalnum() else f"{name}={text}"


def graph(program, path, values):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"parameters": {k: {"value": v} for k, v in values.items()}}, file)
        file.flush()
        return subprocess.run([program, "graph", path, "--parameters", file.name], check=True,
                              stdout=subprocess.PIPE, text=True).stdout.rstrip()


def page(program, file):
    path = os.path.join(GALLERY, file)
    with open(path, encoding="utf-8") as text:
        template = json.load(text)
    values = EXAMPLES.get(file, {})
    given = "".join(f" \\\n  {argument(k, v)}" for k, v in values.items())
    print(f"\n## {file}\n\n{template['metadata']['description']}\n")
    print("```\naz deployment group create -g demo --template-file templates/gallery/" + file +
          (f" --parameters{given}" if given else "") + "\n```\n")
    print("| Parameter | Type | Default | What it is |\n|---|---|---|---|")
    for name, declared in template["parameters"].items():
        print(parameter(name, declared))
    print("\nOutputs: " + ", ".join(f"`{name}`" for name in template["outputs"]) + ".\n")
    print("```mermaid\n" + graph(program, path, values) + "\n```")


def main():
    print("# The gallery\n\nMade from the templates in `templates/gallery`. Each is deployed, looked at "
          "by what-if and exported by a test.")
    for file in sorted(os.listdir(GALLERY)):
        page(sys.argv[1], file)


if __name__ == "__main__":
    main()
