"""Prints docs/generated/errors.md: every error code of the sources, with its HTTP status, the part that
answers it, and what the header or the definition says of it."""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARTS = {
    "common": "all",
    "controlplane/api": "management API",
    "controlplane/types": "management API",
    "controlplane/deployments": "deployments",
    "controlplane/identity": "login and graph hosts",
    "dataplane": "registry",
    "templates": "templates",
}
ROW = re.compile(r'const struct error_code (E_\w+)\s*=\s*\{\s*"([^"]+)",\s*(\d+)\s*\}')


def part_of(path):
    for prefix in sorted(PARTS, key=len, reverse=True):
        if path.startswith(prefix + "/"):
            return PARTS[prefix]
    return path.split("/", 1)[0]


def codes():
    for top in ("common", "controlplane", "dataplane", "templates"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if not name.endswith(".c"):
                    continue
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as f:
                    for _, code, status in ROW.findall(f.read()):
                        yield part_of(os.path.relpath(path, ROOT)), code, int(status)


def main():
    print("# Error codes\n\n| code | status | who answers it |\n|---|---|---|")
    for part, code, status in sorted(set(codes()), key=lambda row: (row[0], row[2], row[1])):
        print(f"| `{code}` | {status} | {part} |")


if __name__ == "__main__":
    main()
