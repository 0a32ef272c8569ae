#!/usr/bin/env python3
"""Checks that the files which documents name are there.

In every Markdown file: relative links, and words in backticks that begin with a
folder of this repository (`engine/request.h`, `server/codec`, or a stem such as
`engine/engine`). Words with upper-case letters, braces or stars are patterns and
are left out. Prints each that names nothing, and exits 1.
"""

import os
import re
import subprocess
import sys

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
_WORD = re.compile(r"`([a-z0-9_./-]+/[a-z0-9_./-]*)`")


def missing(document, text, files):
    """(line number, name) of what `text`, the content of `document`, misnames.

    `files` are the paths of the repository.
    """
    paths = set(files)
    for path in files:
        while path := os.path.dirname(path):
            paths.add(path)
    stems = {os.path.splitext(path)[0] for path in files}
    top = {path.split("/")[0] for path in files if "/" in path}
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        for target in _LINK.findall(line):
            if re.match(r"[a-z]+:", target):
                continue
            path = os.path.normpath(os.path.join(os.path.dirname(document), target))
            if path not in paths:
                found.append((number, target))
        for word in _WORD.findall(line):
            path = word.rstrip("/")
            if word.split("/")[0] in top and path not in paths | stems:
                found.append((number, word))
    return found


def main():
    files = subprocess.run(
        ["git", "ls-files", "--cached"],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split("\n")[:-1]
    failed = False
    for document in files:
        if not document.endswith(".md"):
            continue
        with open(os.path.join(_ROOT, document)) as file:
            for number, name in missing(document, file.read(), files):
                print(f"{document}:{number}: {name} is not there")
                failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
