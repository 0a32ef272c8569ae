#!/usr/bin/env python3
"""Checks that clang-format would change no C++ file; `--fix` changes them.

Prints what it would change, and exits 1.
"""

import os
import subprocess
import sys

import check_layers

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))


def main(arguments):
    mode = ["-i"] if arguments == ["--fix"] else ["--dry-run", "-Werror"]
    files = check_layers.cpp_files()
    return subprocess.run(["clang-format", *mode, *files], cwd=_ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
