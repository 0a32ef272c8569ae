"""Unpacks members of every wheel in a folder: unpack_wheels.py WHEELS OUT PATTERN...

A pattern is matched against the member's whole path (fnmatch, `*` also matches
`/`). `FROM => TO` puts the match under the folder TO, keeping the part of the
path after the folder FROM; FROM then is a literal prefix with an fnmatch tail.
"""

import fnmatch
import os
import shutil
import sys
import zipfile


def destination(member, pattern):
    """The path to write `member` to, or None where `pattern` leaves it out."""
    if " => " not in pattern:
        return member if fnmatch.fnmatchcase(member, pattern) else None
    source, target = pattern.split(" => ")
    if not fnmatch.fnmatchcase(member, source):
        return None
    prefix = source.split("*")[0].rpartition("/")[0] + "/"
    return target + "/" + member[len(prefix) :]


def main(wheels, out, patterns):
    unused = set(patterns)
    for name in sorted(os.listdir(wheels)):
        with zipfile.ZipFile(os.path.join(wheels, name)) as wheel:
            for member in wheel.namelist():
                if member.endswith("/"):
                    continue
                for pattern in patterns:
                    path = destination(member, pattern)
                    if path is None:
                        continue
                    unused.discard(pattern)
                    path = os.path.join(out, path)
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    with wheel.open(member) as src, open(path, "wb") as dst:
                        shutil.copyfileobj(src, dst, 1 << 20)
                    break
    if unused:
        sys.exit("no wheel has a member matching: " + ", ".join(sorted(unused)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
