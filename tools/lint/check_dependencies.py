#!/usr/bin/env python3
"""Checks the `nopath` rows of layers.txt by asking Bazel.

Prints the chain of targets that breaks a row, and exits 1. A row whose first
target is not there yet holds, as long as its package is not there either.
"""

import os
import subprocess
import sys

import layers

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))


def query(expression):
    """(success, lines of output, lines of errors) of a bazel query."""
    result = subprocess.run(
        ["bazel", "query", "--noshow_progress", expression],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return result.returncode == 0, result.stdout.split("\n")[:-1], result.stderr


def folder_exists(target):
    folder = target.partition("//")[2].partition(":")[0]
    folder = folder[: -len("...")] if folder.endswith("...") else folder
    return target.startswith("@") or os.path.isdir(os.path.join(_ROOT, folder))


def main():
    with open(os.path.join(os.path.dirname(__file__), "layers.txt")) as file:
        table = layers.Table(file.read())
    failed = False
    for number, source, target in table.nopaths:
        if not (folder_exists(source) and folder_exists(target)):
            continue
        ok, chain, errors = query(
            f"somepath({source} except kind('.*_test', {source})"
            f" except attr(testonly, 1, {source}), {target})"
        )
        if not ok:
            print(f"layers.txt:{number}: the query failed\n{errors}")
        elif chain:
            print(f"layers.txt:{number}: {source} reaches {target}:")
            print("\n".join("  " + step for step in chain))
        failed = failed or not ok or bool(chain)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
