"""Runs clang's thread-safety analysis on one source, if it can find anything.

  analyze_thread_safety STAMP SOURCE CLANG_FLAG...

Writes STAMP where the source is clean. Run from the root of the repository.
"""

import os
import re
import subprocess
import sys

_ANNOTATION = re.compile(r"\bABSL_(PT_)?GUARDED_BY|\bABSL_\w*LOCK\w*\b")
_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def uses_annotations(path):
    """Whether `path`, or a header of ours that it includes, has annotations."""
    seen, left = {path}, [path]
    while left:
        with open(left.pop(), encoding="utf-8") as file:
            text = file.read()
        if _ANNOTATION.search(text):
            return True
        for include in _INCLUDE.findall(text):
            if include not in seen and os.path.exists(include):
                seen.add(include)
                left.append(include)
    return False


def main(stamp, source, flags):
    if uses_annotations(source):
        result = subprocess.run(
            ["/usr/bin/clang++", "-fsyntax-only", "-std=c++17", "-Wno-everything"]
            + ["-Wthread-safety", "-Wthread-safety-beta", "-Werror"]
            + flags
            + [source]
        )
        if result.returncode != 0:
            return result.returncode
    with open(stamp, "w"):
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
