import os
import struct
import tempfile
import unittest
import zlib

import read_r_strings


def string_vector(*strings):
    """A serialised character vector, as R writes it; None: NA."""
    block = b"X\n" + struct.pack(">III", 3, 0x40201, 0x30500)
    block += struct.pack(">I", 5) + b"UTF-8" + struct.pack(">II", 16, len(strings))
    for string in strings:
        text = b"" if string is None else string.encode()
        length = -1 if string is None else len(text)
        block += struct.pack(">Ii", 0x40009, length) + text
    return block


def database(*blocks):
    return b"".join(
        struct.pack(">I", len(block)) + zlib.compress(block) for block in blocks
    )


class ReadRStringsTest(unittest.TestCase):

    def test_reads_every_block(self):
        blocks = [string_vector("A", "", "caf\u00e9", None), string_vector("B")]
        read = list(read_r_strings.read_blocks(database(*blocks)))
        self.assertEqual(read, blocks)
        self.assertEqual(
            read_r_strings.read_strings(read[0]), ["A", "", "caf\u00e9", ""]
        )

    def test_leaves_out_other_objects(self):
        other = b"X\n" + struct.pack(">III", 3, 0, 0)
        other += struct.pack(">I", 5) + b"UTF-8" + struct.pack(">II", 13, 0)
        self.assertIsNone(read_r_strings.read_strings(other))

    def test_refuses_broken_databases(self):
        good = database(string_vector("A"))
        for broken in [good[:-1], b"\0\0\0\1" + good[4:]]:
            with self.assertRaises(ValueError):
                list(read_r_strings.read_blocks(broken))
        with self.assertRaises(ValueError):
            read_r_strings.read_strings(b"A\n" + bytes(30))

    def test_names_files_after_titles(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.rdb")
            with open(path, "wb") as file:
                file.write(database(string_vector("PRIDE AND (P)", "line")))
            read_r_strings.main(path, os.path.join(folder, "out"))
            with open(os.path.join(folder, "out", "pride_and_p.txt")) as file:
                self.assertEqual(file.read(), "PRIDE AND (P)\nline\n")


if __name__ == "__main__":
    unittest.main()
