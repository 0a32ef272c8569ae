import io
import os
import pathlib
import pickle
import struct
import tempfile
import tracemalloc
import unittest
import zipfile
import zlib

import numpy as np

import safetensors_file
from torch_files import torch_archive
from torch_files import torch_archive_writer as writer
from torch_files.torch_archive_writer import Declared, Record

_SHAPE = (2, 3, 4)
_NUM_VALUES = 24
_STORAGE = bytes(2 * _NUM_VALUES)
_FOLDER = "attn_gate_weights/"


def tensor(dtype, seed):
    values = np.random.default_rng(seed).standard_normal(_SHAPE).astype(np.float32)
    if dtype == "BF16":
        return safetensors_file.Tensor(dtype, (values.view("<u4") >> 16).astype("<u2"))
    numpy_dtype = {"F16": "<f2", "F32": "<f4"}[dtype]
    return safetensors_file.Tensor(dtype, values.astype(numpy_dtype))


def file_of(*declared, storages=(_STORAGE,)):
    """A file that declares tensors a, b, ... ."""
    names = "abcdefgh"[: len(declared)]
    program = writer.pickle_dict(dict(zip(names, declared)))
    return writer.write_zip(writer.records_of(program, list(storages)))


def file_of_program(program):
    return writer.write_zip(writer.records_of(program, [_STORAGE]))


def good_records():
    program = writer.pickle_dict({"a": Declared("BF16", "0", _NUM_VALUES, _SHAPE)})
    return writer.records_of(program, [_STORAGE])


def change_record(name, **changes):
    """A good file, but for fields of one record."""
    records = good_records()
    (record,) = [each for each in records if each.name == _FOLDER + name]
    for field, value in changes.items():
        setattr(record, field, value)
    return writer.write_zip(records)


def add_record(*added):
    return writer.write_zip(good_records() + list(added))


class _Call:
    def __init__(self, function, *arguments):
        self._reduced = function, arguments

    def __reduce__(self):
        return self._reduced


def calls(function, *arguments):
    program = pickle.dumps({"a": _Call(function, *arguments)}, protocol=2)
    return file_of_program(program)


def long_pickle(declared_len):
    """A text that is said to be long."""
    return b"\x80\x02X" + struct.pack("<L", declared_len) + b"abc."


def without_end64(content):
    """The archive with one end of its directory, as small ones may be."""
    return content[: content.rindex(b"PK\6\6")] + content[-22:]


def change_end64(content, offset, form, value):
    """The archive, but for a field of the 64-bit end of its directory."""
    begin = content.rindex(b"PK\6\6") + offset
    end = begin + struct.calcsize(form)
    return content[:begin] + struct.pack(form, value) + content[end:]


def one_long_shape(num_dims, num_tensors):
    """A dict of tensors that share a storage and one shape, made once."""
    storage = b"(X\x07\x00\x00\x00storagectorch\nBFloat16Storage\n"
    storage += b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x18tQq\x01"
    shape = b"(" + b"K\x01" * num_dims + b"tq\x02"
    first = b"X\x05\x00\x00\x00first" + b"ctorch._utils\n_rebuild_tensor_v2\nq\x00"
    first += b"(" + storage + b"K\x00" + shape + b"h\x02\x89}q\x03tR"
    others = (
        b"X\x05\x00\x00\x00%05dh\x00(h\x01K\x00h\x02h\x02\x89h\x03tR" % each
        for each in range(num_tensors - 1)
    )
    return b"\x80\x02}(" + first + b"".join(others) + b"u."


class TorchArchiveTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "attn_gate_weights.pth"

    def read(self, content):
        """All tensors of a file of these bytes."""
        self.path.write_bytes(content)
        with torch_archive.TorchArchive(self.path) as archive:
            return {name: archive.read(name) for name in archive.tensors}

    def refuse(self, content, message):
        with self.assertRaises(ValueError) as caught:
            self.read(content)
        text = str(caught.exception)
        self.assertIn(message, text)
        self.assertNotIn("\n", text)
        self.assertLess(len(text), 400)

    def test_the_writer_writes_zips_that_others_read(self):
        with zipfile.ZipFile(io.BytesIO(writer.write_zip(good_records()))) as archive:
            self.assertIsNone(archive.testzip())
            self.assertEqual(archive.read(_FOLDER + "data/0"), _STORAGE)

    def test_reads_every_type(self):
        tensors = {dtype: tensor(dtype, 1) for dtype in ("BF16", "F16", "F32")}
        read = self.read(writer.write_zip(writer.records_of_tensors(tensors)))
        self.assertEqual(list(read), list(tensors))
        for name, values in read.items():
            np.testing.assert_array_equal(values, tensors[name].values)
            self.assertEqual(values.dtype, tensors[name].values.dtype)

    def test_reads_tensors_that_share_a_storage(self):
        tensors = {f"t{i}": tensor("BF16", i) for i in range(300)}
        records = writer.records_of_tensors(tensors, share_storage=True)
        for name, values in self.read(writer.write_zip(records)).items():
            np.testing.assert_array_equal(values, tensors[name].values)

    def test_reads_files_without_notes(self):
        kept = [each for each in good_records() if "data" in each.name]
        self.assertEqual(list(self.read(writer.write_zip(kept))), ["a"])

    def test_reads_parameters_and_ordered_dicts_with_attributes(self):
        good = writer.pickle_dict({"a": Declared("BF16", "0", _NUM_VALUES, _SHAPE)})
        parameter = b"ctorch._utils\n_rebuild_parameter\n("
        empty = b"ccollections\nOrderedDict\n)R"
        start = good.index(b"ctorch._utils")
        program = b"\x80\x02" + empty + good[3:start] + parameter + good[start:-2]
        program += b"\x88" + empty + b"tRs}X\x09\x00\x00\x00_metadata" + empty + b"sb."
        self.assertEqual(list(self.read(file_of_program(program))), ["a"])

    def test_refuses_programs(self):
        marker = self.path.parent / "called"
        for function, arguments, name in [
            (os.system, (f"touch {marker}",), "posix.system"),
            (eval, (f"open({str(marker)!r}, 'w')",), "__builtin__.eval"),
            (getattr, (pathlib.Path, "touch"), "__builtin__.getattr"),
        ]:
            with self.subTest(name):
                content = calls(function, *arguments)
                self.refuse(content, f"asks for '{name}'")
        program = b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R."
        self.refuse(file_of_program(program), "asks for 'os.system'")
        program = b"\x80\x02(X\x04\x00\x00\x00trueios\nsystem\n."
        self.refuse(file_of_program(program), "opcode INST")
        self.assertFalse(marker.exists())

    def test_refuses_broken_pickles(self):
        good = writer.pickle_dict({"a": Declared("BF16", "0", _NUM_VALUES, _SHAPE)})
        twice = good[:-1] + b"X\x01\x00\x00\x00ah\x0ds."
        doubled = b"\x80\x02)" + b"q\x00h\x00\x86" * 1000 + b"."
        hook = b"X\x01\x00\x00\x00hNs"
        for what, program, message in [
            ("empty", b"", "the pickle is broken"),
            ("cut", good[:-1], "the pickle is broken"),
            ("cut in a number", good[:100], "the pickle"),
            ("more after its end", good + b"N.", "goes on after its end"),
            ("no opcode", b"\x80\x02\xff.", "the pickle is broken"),
            ("a list", b"\x80\x02].", "opcode EMPTY_LIST"),
            ("a number", b"\x80\x02K\x01.", "holds no dict of tensors"),
            ("no tensors", b"\x80\x02}.", "holds no dict of tensors"),
            ("a memo that is not there", b"\x80\x02h\x07.", "takes what it never made"),
            ("an empty stack", b"\x80\x02R.", "takes what it never made"),
            ("a key of numbers", b"\x80\x02}K\x01Ns.", "a key that is no text"),
            ("a number for a tensor", b"\x80\x02}X\x01\0\0\0aK\1s.", "'a' is no tensor"),
            ("an entry twice", twice, "'a' is there twice"),
            ("a text of 4 GiB", long_pickle(2**32 - 1), "the pickle is broken"),
            ("tuples of tuples", doubled, "holds no dict of tensors"),
            ("a global for a dict", b"\x80\x02ctorch\nFloatStorage\n}b.", "of no dict"),
            ("a class that is called", b"\x80\x02ctorch\nFloatStorage\n)R.", "not fit"),
            ("a number that is called", b"\x80\x02K\x01)R.", "no function"),
            ("no storage", b"\x80\x02K\x01Q.", "no storage"),
            ("hooks", good.replace(b")R", b")R" + hook, 1), "on what does not fit"),
            ("too long", bytes(5 << 20), "over 4194304"),
        ]:
            with self.subTest(what):
                self.refuse(file_of_program(program), message)

    # Each looks at a million sizes if any does: hours for a pickle of 4 MiB.
    def test_refuses_a_long_shape_at_its_first_use(self):
        most = file_of_program(one_long_shape(8, 1))
        self.assertEqual(list(self.read(most)), ["first"])
        self.refuse(file_of_program(one_long_shape(8, 2)), "overlaps")
        self.refuse(file_of_program(one_long_shape(9, 1)), "a tensor has 9 dimensions")
        program = one_long_shape(10**6, 80000)
        self.assertLess(len(program), 1 << 22)
        self.refuse(file_of_program(program), "a tensor has 1000000 dimensions")

    def test_refuses_tensors_that_are_not_there(self):
        huge = 1 << 62
        good = Declared("BF16", "0", _NUM_VALUES, _SHAPE)
        for what, declared, message in [
            ("huge", [Declared("BF16", "0", huge, (huge,))], "is declared, and its"),
            (
                "larger than its storage",
                [Declared("BF16", "0", _NUM_VALUES, (1 << 40, 1 << 40))],
                "ends at value 2^64 or more of a storage of 24",
            ),
            (
                "past its storage's end",
                [Declared("BF16", "0", _NUM_VALUES, _SHAPE, offset=1)],
                "ends at value 25 of a storage of 24",
            ),
            (
                "a negative offset",
                [Declared("BF16", "0", _NUM_VALUES, _SHAPE, offset=-1)],
                "on what does not fit",
            ),
            (
                "a negative size",
                [Declared("BF16", "0", _NUM_VALUES, (-2, -12), strides=(12, 1))],
                "on what does not fit",
            ),
            (
                "transposed",
                [Declared("BF16", "0", _NUM_VALUES, _SHAPE, strides=(12, 1, 3))],
                "not row-major",
            ),
            (
                "one value everywhere",
                [Declared("BF16", "0", _NUM_VALUES, _SHAPE, strides=(0, 0, 0))],
                "not row-major",
            ),
            (
                "many dimensions",
                [Declared("BF16", "0", _NUM_VALUES, (1,) * 9)],
                "a tensor has 9 dimensions",
            ),
            ("an alias", [good, good], "'b' overlaps tensor 'a'"),
            (
                "of overlapping values",
                [
                    Declared("BF16", "0", _NUM_VALUES, (13,), offset=11),
                    Declared("BF16", "0", _NUM_VALUES, (12,)),
                ],
                "tensor 'a' overlaps tensor 'b'",
            ),
            (
                "of a storage in two types",
                [good, Declared("F32", "0", _NUM_VALUES // 2, (12,))],
                "in two ways",
            ),
            ("of another storage", [Declared("BF16", "1", 24, _SHAPE)], "no record"),
            (
                "of a storage elsewhere",
                [Declared("BF16", "../../secret", 24, _SHAPE)],
                "storage '../../secret' has no record",
            ),
            (
                "of another type",
                [Declared("F64", "0", 6, (6,))],
                "asks for 'torch.DoubleStorage'",
            ),
        ]:
            with self.subTest(what):
                self.refuse(file_of(*declared), message)

    def test_refuses_zip_bombs(self):
        packed = zlib.compress(bytes(1 << 20), 9)[2:-4]
        for what, content, message in [
            (
                "a bomb",
                change_record("data/0", content=packed, method=8, size=1 << 20),
                "data/0' is compressed",
            ),
            (
                "a bomb that says it is stored",
                change_record("data/0", size=1 << 20),
                "data/0' is compressed, 48 bytes to 1048576",
            ),
            (
                "a bomb in the pickle",
                change_record("data.pkl", content=packed, method=8, size=1 << 20),
                "data.pkl' is compressed",
            ),
            (
                "a record longer than the file",
                change_record("data/0", packed_size=1 << 30, size=1 << 30),
                "data/0' overlaps",
            ),
        ]:
            with self.subTest(what):
                self.refuse(content, message)

    def test_refuses_broken_archives(self):
        good = writer.write_zip(good_records())
        other = _FOLDER + "data/1"
        last_offset = struct.pack("<L", good.rindex(b"PK\3\4")) + b"attn"
        overlap = good.replace(last_offset, bytes(4) + b"attn")
        outside = good.replace(last_offset, b"\0\0\0\x7fattn")
        for what, content, message in [
            ("empty", b"", "too short"),
            ("a pickle", pickle.dumps({"a": [0] * 100}), "no zip archive"),
            ("cut", good[:-1], "no zip archive, or a truncated one"),
            ("cut in half", good[: len(good) // 2], "no zip archive"),
            ("with a tail", good + bytes(22), "no zip archive"),
            ("with a head", b"x" * 64 + good, "is not where it should be"),
            ("in parts", good[:-18] + b"\1\0" + good[-16:], "several parts"),
            ("of 65535 records", good[:-14] + b"\xff" * 4 + good[-10:], "65534"),
            (
                "of fewer records",
                without_end64(good)[:-14] + b"\1\0\1\0" + good[-10:],
                "after the zip archive's directory",
            ),
            ("overlapping", overlap, "overlaps"),
            ("of a record past the end", outside, "overlaps what follows it"),
            ("with bytes in it", good.replace(b"PK\6\6", b"PK\6\5"), "between"),
            (
                "of a long directory",
                add_record(*(Record(f"{k:060000}", b"") for k in range(80))),
                "over the limit",
            ),
            ("two of a name", add_record(Record(_FOLDER + "data/0", b"")), "one name"),
            ("of two names", change_record("data/0", local_name=other), "differs"),
            ("encrypted", change_record("data/0", flags=0x0809), "is encrypted"),
            (
                "with other sizes inside",
                change_record("data/0", flags=0x0800).replace(
                    struct.pack("<2L", 48, 48) + struct.pack("<H", 24),
                    struct.pack("<2L", 47, 47) + struct.pack("<H", 24),
                    1,
                ),
                "data/0' differs",
            ),
            ("of another CRC", change_record("data/0", crc=1), "do not match its CRC"),
            ("of longer values", change_record("data/0", content=bytes(49)), "has 49"),
            ("of shorter values", change_record("data/0", content=bytes(40)), "has 40"),
        ]:
            with self.subTest(what):
                self.refuse(content, message)

    # What the archive holds depends on which of its two ends a reader takes.
    def test_refuses_two_ends_that_differ(self):
        good = writer.write_zip(good_records())
        self.assertEqual(list(self.read(without_end64(good))), ["a"])
        for what, offset, form, value in [
            ("the magic", 0, "<L", 0),
            ("its own length", 4, "<Q", 45),
            ("the disk", 16, "<L", 1),
            ("the directory's disk", 20, "<L", 1),
            ("the records here", 24, "<Q", 6),
            ("the records", 32, "<Q", 6),
            ("the directory's length", 40, "<Q", 40),
            ("the directory's place", 48, "<Q", 64),
            ("the locator's magic", 56, "<L", 0),
            ("the locator's disk", 60, "<L", 1),
            ("the end's place", 64, "<Q", 0),
            ("the disks", 72, "<L", 2),
        ]:
            with self.subTest(what):
                changed = change_end64(good, offset, form, value)
                self.assertNotEqual(changed, good)
                self.refuse(changed, "between" if "magic" in what else "64-bit end")

    def test_refuses_names_and_notes_of_other_things(self):
        folder = _FOLDER
        for name in [
            "../data/1",
            "/data/1",
            "../../etc/passwd",
            folder + "../data/1",
            folder + "data/../1",
            folder + "data\\1",
            folder + "data/",
            folder + "code/gate.py",
            folder + "constants.pkl",
            "\x00/data/1",
        ]:
            with self.subTest(name):
                self.refuse(add_record(Record(name, b"")), "has no place")
        self.refuse(add_record(Record("other/data/1", b"")), "not all in one folder")
        self.refuse(writer.write_zip([Record("x/data/0", b"")]), "data.pkl is missing")
        self.refuse(writer.write_zip([]), "not all in one folder")
        self.refuse(change_record("byteorder", content=b"big"), "byteorder 'big'")
        self.refuse(change_record("byteorder", content=bytes(1000)), "too long")
        self.refuse(change_record("version", content=b"11\n"), "version '11'")
        self.refuse(change_record("version", content=b"x"), "version 'x'")

    def test_refuses_without_taking_memory(self):
        hostile = [
            file_of(Declared("F32", "0", 1 << 60, (1 << 60,))),
            file_of_program(long_pickle(2**32 - 1)),
            file_of_program(b"\x80\x02Nr\xff\xff\xff\x7f."),
            change_record("data/0", method=8, size=(1 << 32) - 2),
        ]
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for content in hostile:
            with self.assertRaises(ValueError):
                self.read(content)
        self.assertLess(tracemalloc.get_traced_memory()[1], 10 << 20)


if __name__ == "__main__":
    unittest.main()
