#!/usr/bin/env python3
"""Checks every #include line of the repository against layers.txt.

  tools/lint/check_layers.py            all C++ files that git tracks or could
  tools/lint/check_layers.py FILE...    these

Prints FILE:LINE: for each line that breaks the table, and exits 1.
"""

import os
import re
import subprocess
import sys

import layers

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
_INCLUDE = re.compile(r'\s*#\s*include\s*(["<])([^">]+)[">]')
_SUFFIXES = (".h", ".cc", ".cu", ".cuh", ".inc")


def cpp_files():
    """The C++ files of the repository, by path from its root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=_ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.splitlines()
    return sorted(
        f
        for f in set(listed)
        if f.endswith(_SUFFIXES) and os.path.exists(os.path.join(_ROOT, f))
    )


def complaints(table, path, text):
    """Yields (line number, message) for each include that breaks the table."""
    for number, line in enumerate(text.splitlines(), 1):
        match = _INCLUDE.match(line)
        if not match:
            continue
        quote, include = match.groups()
        beside = os.path.join(_ROOT, os.path.dirname(path), include)
        if quote == '"' and "/" not in include and os.path.exists(beside):
            yield number, f"{include}: write its path from the root"
            continue
        if ".." in include.split("/"):
            yield number, f"{include}: leaves the repository"
            continue
        if quote == "<" and table.is_own(include):
            yield number, f"{include}: a file of this repository in brackets"
        reason = table.complaint(path, include)
        if reason:
            yield number, f"{include}: {reason}"


def main(paths):
    with open(os.path.join(os.path.dirname(__file__), "layers.txt")) as file:
        table = layers.Table(file.read())
    failed = False
    for path in paths or cpp_files():
        with open(os.path.join(_ROOT, path), encoding="utf-8") as file:
            for number, message in complaints(table, path, file.read()):
                failed = True
                print(f"{path}:{number}: {message}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
