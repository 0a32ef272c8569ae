"""The table of tools/lint/layers.txt: its form, and the question it answers."""

import fnmatch
import re

class Table:
    """The rows of a layers file.

    Attributes:
      nopaths: list of (line number, from target, to target).
    """

    def __init__(self, text):
        """Parses `text`; ValueError with the line's number if it has no form."""
        self.libraries = {}  # name -> list of prefixes
        self.rooms = {}  # path -> (patterns, library names)
        self.tests = []  # (file patterns, patterns)
        self.nopaths = []
        for number, line in enumerate(text.splitlines(), 1):
            line = line.partition("#")[0].strip()
            if line:
                self._add_row(number, line)

    def _add_row(self, number, line):
        kind, _, rest = line.partition(" ")
        if kind == "nopath" and " -> " in rest:
            source, target = rest.split(" -> ")
            self.nopaths.append((number, source.strip(), target.strip()))
            return
        name, colon, values = rest.partition(":")
        patterns, _, libraries = values.partition("+")
        if not colon or not patterns.split():
            raise ValueError(f"line {number}: no such row: {line}")
        if kind == "library":
            self.libraries[name] = patterns.split()
        elif kind == "room" and name not in self.rooms:
            for library in libraries.split():
                if library not in self.libraries:
                    raise ValueError(f"line {number}: unknown library {library}")
            self.rooms[name] = (patterns.split(), libraries.split())
        elif kind == "tests":
            self.tests.append((name.split(), patterns.split()))
        else:
            raise ValueError(f"line {number}: no such row: {line}")

    def complaint(self, path, include):
        """Why the file at `path` may not include `include`; None if it may.

        Args:
          path: the file, from the root of the repository.
          include: what stands between the quotes or brackets of its line.
        """
        room = max(
            (r for r in self.rooms if path.startswith(r)), key=len, default=None
        )
        if room is None:
            return "the file is in no room of layers.txt"
        patterns, libraries = self.rooms[room]
        if self.is_own(include):
            patterns = patterns + [
                pattern
                for files, extra in self.tests
                if any(fnmatch.fnmatch(path, f) for f in files)
                for pattern in extra
            ]
            if any(_matches(include, pattern) for pattern in patterns):
                return None
            return f"{room} may not include it"
        for name, prefixes in self.libraries.items():
            if any(include.startswith(p) for p in prefixes):
                return None if name in libraries else f"{room} may not use {name}"
        return None

    def is_own(self, include):
        """Whether an include names a file of this repository."""
        return include.split("/")[0] + "/" in self._top_folders()

    def _top_folders(self):
        return {room.split("/")[0] + "/" for room in self.rooms} | {
            pattern.split("/")[0] + "/"
            for patterns, _ in self.rooms.values()
            for pattern in patterns
        }


def _matches(include, pattern):
    if pattern.endswith("/"):
        return include.startswith(pattern)
    regex = re.escape(pattern).replace(r"\*", "[^/]*")
    return re.fullmatch(regex, include) is not None
