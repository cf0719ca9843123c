"""What the tables of the resource types say, read from the pages that are printed from them."""

import functools
import os
import re

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "generated", "types.md")


@functools.cache
def sections():
    """{type: its section of the page}"""
    with open(PAGE, encoding="utf-8") as f:
        return {text.split("\n", 1)[0]: text for text in re.split(r"^## ", f.read(), flags=re.M)[1:]}


def versions():
    """{type: its versions}, newest first, stable ones before previews."""
    found = {name: re.search(r"^Versions: (.*)$", text, re.M) for name, text in sections().items()}
    return {name: line[1].split() for name, line in found.items() if line}


def actions():
    """[(type, action)] that are POSTs on one resource."""
    return [(kind, name) for kind, text in sections().items()
            for name in re.findall(r"^\| (\w+) \| POST \| `(?!Microsoft)", text, re.M)]


def members(kind):
    """{path: since when it is shown, or ""}"""
    rows = re.findall(r"^\| `([^`]+)` \|(.*)\|$", sections()[kind], re.M)
    return {path: rest.split("|")[-1].strip() for path, rest in rows}


def is_shown(since, version):
    """Since "2021-06-01-preview/2021-09-01": in previews from the first on, in stable versions from the
    second; since one alone: in all from then on, or in previews only where it is one."""
    first, _, stable = since.partition("/")
    if version.endswith("-preview") or not first.endswith("-preview"):
        return version[:10] >= first[:10]
    return stable != "" and version[:10] >= stable[:10]
