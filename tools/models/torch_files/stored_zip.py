"""A zip archive whose records are stored as they are: safe on hostile files.

zipfile reads more than is wanted here: compressed and encrypted records, records
that overlap, a directory that is not where it is said to be. This reader refuses
all of these, before it reads a record, so that what it reads is never longer
than the file. It refuses what says two things, too: the two ends of the
directory, an entry and its record's header. So other readers that go by the
directory read the same. Bytes before and between records belong to none, and
are not read.
"""

import dataclasses
import pathlib
import struct
import zlib

from torch_files.untrusted_text import quote

_END = struct.Struct("<4s4H2LH")  # of the central directory
_ENTRY = struct.Struct("<4s6H3L5H2L")  # of the central directory
_LOCAL = struct.Struct("<4s5H3L2H")  # before a record's bytes

# Data descriptor after the record, name in UTF-8: they change no byte of it.
_HARMLESS_FLAGS = 0x0808

# Between the central directory and its end, a 64-bit copy of the end may stand.
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")  # of the 64-bit end
_END64_BYTES = _END64.size + _LOCATOR.size

_MAX_DIRECTORY_BYTES = 1 << 22


class ZipError(ValueError):
    """The file is no such archive; the message names the record."""


@dataclasses.dataclass(frozen=True)
class _Record:
    name: str
    flags: int
    crc: int
    size: int
    header: int  # offset in the file


class StoredZip:
    """An open archive; a context manager. The file must stay as it is."""

    def __init__(self, path: pathlib.Path):
        """Reads and checks the directory. Raises OSError, ZipError."""
        self._file = path.open("rb")
        try:
            self._size = self._file.seek(0, 2)
            directory, offset, count = self._read_end()
            records = _parse_directory(directory, count)
            self._records = {record.name: record for record in records}
            if len(self._records) != len(records):
                raise ZipError("the archive has two records of one name")
            self._begins = self._find_data(records, offset)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each record, by name."""
        return {name: record.size for name, record in self._records.items()}

    def read(self, name: str) -> bytes:
        """A record's bytes, checked against its CRC."""
        record = self._records[name]
        content = self._read(self._begins[name], record.size)
        if zlib.crc32(content) != record.crc:
            raise ZipError(f"record {quote(name)}: its bytes do not match its CRC")
        return content

    def _read(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        content = self._file.read(size)
        if len(content) != size:
            raise ZipError("the file has become shorter")
        return content

    def _read_end(self) -> tuple[bytes, int, int]:
        """The central directory, where it begins, how many entries it has."""
        end = self._size - _END.size
        if end < 0:
            raise ZipError("no zip archive, or a truncated one: too short")
        magic, disk, first_disk, here, count, size, offset, comment = _END.unpack(
            self._read(end, _END.size)
        )
        if magic != b"PK\5\6" or comment:
            raise ZipError("no zip archive, or a truncated one: its end is missing")
        if disk or first_disk or here != count:
            raise ZipError("the zip archive is one of several parts")
        if 0xFFFFFFFF in (size, offset) or count == 0xFFFF:
            raise ZipError("a zip archive over 4 GiB or 65534 records is not read")
        if size > _MAX_DIRECTORY_BYTES:
            raise ZipError(f"a directory of {size} bytes is over the limit")
        gap = end - (offset + size)
        if gap not in (0, _END64_BYTES):
            raise ZipError("the zip archive's directory is not where it should be")
        if gap:
            self._check_end64(count, size, offset)
        return self._read(offset, size), offset, count

    def _check_end64(self, count: int, size: int, offset: int) -> None:
        """The 64-bit end says what the other says."""
        content = self._read(offset + size, _END64_BYTES)
        magic, own_size, _, _, *numbers = _END64.unpack_from(content)
        locator, *place = _LOCATOR.unpack_from(content, _END64.size)
        if (magic, locator) != (b"PK\6\6", b"PK\6\7"):
            raise ZipError("there are bytes between the zip archive's parts")
        is_same = (
            own_size == _END64.size - 12  # counted from behind itself
            and numbers == [0, 0, count, count, size, offset]
            and place == [0, offset + size, 1]
        )
        if not is_same:
            raise ZipError("the zip archive's 64-bit end differs from the other one")

    def _find_data(self, records: list[_Record], directory: int) -> dict[str, int]:
        """Where each record's bytes begin; all lie apart before the directory."""
        begins = {}
        ordered = sorted(records, key=lambda record: record.header)
        ends = [record.header for record in ordered[1:]] + [directory]
        for record, limit in zip(ordered, ends):
            where = f"record {quote(record.name)}"
            if record.header + _LOCAL.size > limit:
                raise ZipError(f"{where} overlaps what follows it")
            magic, _, flags, method, _, _, crc, packed, size, name_len, extra_len = (
                _LOCAL.unpack(self._read(record.header, _LOCAL.size))
            )
            begin = record.header + _LOCAL.size + name_len + extra_len
            if begin + record.size > limit:
                raise ZipError(f"{where} overlaps what follows it")
            name = self._read(record.header + _LOCAL.size, name_len)
            sizes = (record.crc, record.size, record.size)
            is_same = (
                magic == b"PK\3\4"
                and (flags, method) == (record.flags, 0)
                and name == record.name.encode()
                and (flags & 8 or (crc, packed, size) == sizes)
            )
            if not is_same:
                raise ZipError(f"{where} differs from its entry in the directory")
            begins[record.name] = begin
        return begins


def _parse_directory(directory: bytes, count: int) -> list[_Record]:
    records = []
    position = 0
    for _ in range(count):
        if position + _ENTRY.size > len(directory):
            raise ZipError("the zip archive's directory is cut short")
        fields = _ENTRY.unpack_from(directory, position)
        magic, _, _, flags, method, _, _, crc, packed, size = fields[:10]
        name_len, extra_len, comment_len, disk, _, _, header = fields[10:]
        position += _ENTRY.size
        name_bytes = directory[position : position + name_len]
        position += name_len + extra_len + comment_len
        if magic != b"PK\1\2" or position > len(directory) or disk:
            raise ZipError("the zip archive's directory is broken")
        try:
            name = name_bytes.decode()
        except UnicodeDecodeError as error:
            raise ZipError("a record's name is no UTF-8") from error
        if method != 0 or packed != size:
            raise ZipError(
                f"record {quote(name)} is compressed, {packed} bytes to {size};"
                " torch stores records as they are"
            )
        if flags & ~_HARMLESS_FLAGS:
            raise ZipError(f"record {quote(name)} is encrypted or a patch")
        records.append(_Record(name, flags, crc, size, header))
    if position != len(directory):
        raise ZipError("there are bytes after the zip archive's directory")
    return records
