#!/usr/bin/env python3
"""Checks that the files which documents name are there, and pages listed.

In every Markdown file: relative links, and words in backticks that begin with a
folder of this repository (`engine/request.h`, `server/codec`, or a stem such as
`engine/engine`). Words with upper-case letters, braces or stars are patterns and
are left out. And the README.md of a folder of pages (docs/*/) links to each of them.
Prints each that names nothing and each page that is not listed, and exits 1.
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


def unlisted(index, text, files):
    """The pages beside `index`, a folder's README.md with content `text`, that it
    does not link to. `files` are the paths of the repository."""
    folder = os.path.dirname(index)
    linked = {os.path.normpath(os.path.join(folder, t)) for t in _LINK.findall(text)}
    return [
        path
        for path in files
        if os.path.dirname(path) == folder
        and path.endswith(".md")
        and path not in linked | {index}
    ]


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
            text = file.read()
        for number, name in missing(document, text, files):
            print(f"{document}:{number}: {name} is not there")
            failed = True
        if re.fullmatch(r"docs/[^/]+/README\.md", document):
            for page in unlisted(document, text, files):
                print(f"{document}: does not list {page}")
                failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
