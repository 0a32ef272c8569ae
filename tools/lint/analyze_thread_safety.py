"""Runs clang's thread-safety analysis on one source, if it can find anything.

  analyze_thread_safety STAMP SOURCE CLANG_FLAG...

Writes STAMP where the source is clean. Run from the root of the repository.
"""

import os
import re
import subprocess
import sys

_ANNOTATION = re.compile(r"\bABSL_(PT_)?GUARDED_BY|\bABSL_\w*LOCK\w*\b")
_LOCK = re.compile(r"\bMutexLock\b")
# Has annotations of its own, of what it is made of.
_MUTEX = "base/thread/mutex.h"
_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def uses_annotations(path):
    """Whether `path`, or a header of ours that it includes, has annotations or locks.

    A source that reaches what is guarded includes the header that says so.
    """
    text = read(path)
    if _ANNOTATION.search(text) or _LOCK.search(text):
        return True
    return any(
        _ANNOTATION.search(read(include))
        for include in _INCLUDE.findall(text)
        if include != _MUTEX and os.path.exists(include)
    )


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
