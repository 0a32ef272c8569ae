"""Tests of layers.py and check_layers.py."""

import unittest

from tools.lint import check_layers
from tools.lint import layers

_TABLE = """
# A comment.
library torch: torch/ ATen/
library grpc: grpcpp/

room base/: base/
room engine/: base/ engine/*
room engine/model/: base/ engine/* engine/model/ + torch
room engine/llama: base/ engine/ + torch
room server/: base/ engine/* server/ + grpc
room tests/: base/ engine/ tests/
tests *_test.cc: tests/testing/
nopath //server:x -> //kernels/...
"""


class TableTest(unittest.TestCase):
    def setUp(self):
        self.table = layers.Table(_TABLE)

    def allowed(self, path, include):
        return self.table.complaint(path, include) is None

    def test_rooms(self):
        self.assertTrue(self.allowed("base/a.cc", "base/file/b.h"))
        self.assertFalse(self.allowed("base/a.cc", "engine/engine.h"))
        self.assertTrue(self.allowed("engine/model/a.cc", "engine/model/x/b.h"))
        self.assertFalse(self.allowed("server/a.cc", "engine/model/b.h"))

    def test_star_is_one_folder(self):
        self.assertTrue(self.allowed("engine/a.h", "engine/b.h"))
        self.assertFalse(self.allowed("engine/a.h", "engine/model/b.h"))

    def test_longest_path_counts(self):
        self.assertTrue(self.allowed("engine/llama_engine.cc", "engine/model/b.h"))
        self.assertFalse(self.allowed("engine/other.cc", "engine/model/b.h"))

    def test_libraries(self):
        self.assertTrue(self.allowed("engine/model/a.cc", "ATen/Tensor.h"))
        self.assertFalse(self.allowed("engine/a.cc", "ATen/Tensor.h"))
        self.assertFalse(self.allowed("base/a.cc", "grpcpp/grpcpp.h"))
        self.assertTrue(self.allowed("base/a.cc", "absl/time/time.h"))
        self.assertTrue(self.allowed("base/a.cc", "vector"))

    def test_tests_may_include_more(self):
        self.assertTrue(self.allowed("base/a_test.cc", "tests/testing/b.h"))
        self.assertFalse(self.allowed("base/a.cc", "tests/testing/b.h"))
        self.assertFalse(self.allowed("base/a_test.cc", "tests/e2e/b.h"))
        self.assertFalse(self.allowed("base/a_test.cc", "engine/engine.h"))

    def test_file_in_no_room(self):
        self.assertFalse(self.allowed("elsewhere/a.cc", "base/b.h"))

    def test_nopath(self):
        self.assertEqual(self.table.nopaths, [(13, "//server:x", "//kernels/...")])

    def test_rows_without_form(self):
        for row in (
            "room base/",
            "room base/:",
            "wall base/: base/",
            "room a/: a/ + unknown",
            "room a/: a/\nroom a/: a/",
            "nopath //a //b",
        ):
            with self.assertRaises(ValueError, msg=row):
                layers.Table(row)


class ComplaintsTest(unittest.TestCase):
    def lines(self, path, text):
        found = check_layers.complaints(layers.Table(_TABLE), path, text)
        return [number for number, _ in found]

    def test_each_line_is_read(self):
        text = (
            '#include "base/a.h"\n'
            '#include "engine/engine.h"\n'
            "  #  include <ATen/Tensor.h>\n"
            '// #include "engine/engine.h"\n'
            '#include "../server/a.h"\n'
            "#include <base/a.h>\n"
            "#include <vector>\n"
        )
        self.assertEqual(self.lines("base/a.cc", text), [2, 3, 5, 6])

    def test_path_from_the_root(self):
        text = '#include "check_layers.py"\n#include "sqlite3.h"\n'
        self.assertEqual(self.lines("base/a.cc", text), [])
        table = layers.Table(_TABLE + "room tools/: tools/\n")
        found = check_layers.complaints(table, "tools/lint/a.cc", text)
        self.assertEqual([number for number, _ in found], [1])


class RepositoryTest(unittest.TestCase):
    def test_layers_txt_has_form(self):
        with open("tools/lint/layers.txt") as file:
            table = layers.Table(file.read())
        self.assertIn("engine/model/", table.rooms)
        self.assertTrue(table.nopaths)


if __name__ == "__main__":
    unittest.main()
