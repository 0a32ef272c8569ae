#!/usr/bin/env python3
"""Writes the character vectors of an R lazy-load database as text files.

  read_r_strings.py DATABASE.rdb FOLDER

A vector becomes one file, an element a line, named after its first element in
lower case ("PRIDE AND PREJUDICE" -> pride_and_prejudice.txt).

Format (R Internals, "Lazy loading" and "Serialization Formats"): the database is
a run of blocks, each a big-endian length of the uncompressed bytes and a zlib
stream; a block holds one object in XDR, version 3.
"""

import os
import re
import struct
import sys
import zlib

_STRING_VECTOR, _STRING = 16, 9  # SEXP types


def read_blocks(content):
    """The uncompressed blocks of a database, in order."""
    offset = 0
    while offset < len(content):
        (length,) = struct.unpack_from(">I", content, offset)
        stream = zlib.decompressobj()
        block = stream.decompress(content[offset + 4 :])
        if len(block) != length or not stream.eof:
            raise ValueError(f"broken block at byte {offset}")
        offset = len(content) - len(stream.unused_data)
        yield block


def read_strings(block):
    """The elements of a serialised character vector; None: another object."""
    if block[:6] != b"X\n\0\0\0\3":
        raise ValueError("not XDR, version 3")
    (encoding_length,) = struct.unpack_from(">I", block, 14)
    offset = 18 + encoding_length
    flags, count = struct.unpack_from(">II", block, offset)
    if flags & 0xFF != _STRING_VECTOR:
        return None
    offset += 8
    strings = []
    for _ in range(count):
        flags, length = struct.unpack_from(">Ii", block, offset)
        if flags & 0xFF != _STRING:
            raise ValueError(f"no string at byte {offset}")
        offset += 8
        # NA has length -1.
        strings.append(block[offset : offset + max(length, 0)].decode())
        offset += max(length, 0)
    return strings


def main(database, folder):
    os.makedirs(folder, exist_ok=True)
    with open(database, "rb") as file:
        content = file.read()
    for block in read_blocks(content):
        lines = read_strings(block)
        if lines is None:
            continue
        name = re.sub(r"[^a-z0-9]+", "_", lines[0].lower()).strip("_")
        with open(os.path.join(folder, name + ".txt"), "w") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
