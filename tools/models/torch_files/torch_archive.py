"""Reads the tensors of a file of `torch.save` without torch.

The file is a zip archive of stored records under one folder: data.pkl, the
pickle of a dict of tensors; data/K, the values of storage K; byteorder, version
and a few that say nothing about values. A file is checked as a whole before any
value is read, and values are never more bytes than the file has.
"""

import math
import pathlib
import re

import numpy as np

from torch_files import state_dict_pickle, stored_zip, untrusted_text
from torch_files.untrusted_text import quote

_NUMPY = {"BF16": "<u2", "F16": "<f2", "F32": "<f4"}  # bf16: its bits

_RECORD = re.compile(
    r"(?P<folder>[^/\\\x00-\x1f]{1,255})/(?P<name>data\.pkl|data/[0-9]{1,9}|byteorder"
    r"|version|\.data/serialization_id|\.format_version|\.storage_alignment)",
)
_MAX_NOTE_BYTES = 100  # of byteorder and version
_VERSIONS = range(1, 11)  # those that torch reads


class ArchiveError(ValueError):
    """The file is no archive of tensors; the message says why."""


class TorchArchive:
    """An open file of `torch.save`; a context manager.

    `tensors` has each tensor's declaration by name, which holds: its values are
    there, row-major, and no other tensor's. Raises OSError, and ArchiveError,
    ZipError or PickleError, each a ValueError naming the tensor or record.
    """

    def __init__(self, path: pathlib.Path):
        self._last: tuple[str, bytes] = ("", b"")
        self._zip = stored_zip.StoredZip(path)
        try:
            self._folder = self._find_folder()
            self._check_notes()
            program = self._zip.read(f"{self._folder}/data.pkl")
            self.tensors = state_dict_pickle.read_state_dict(program)
            self._check_storages()
            self._check_extents()
        except BaseException:
            self._zip.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._zip.__exit__()

    def read(self, name: str) -> np.ndarray:
        """A tensor's values: float32, float16, or the bits of bf16 as uint16."""
        tensor = self.tensors[name]
        key = tensor.storage.key
        if self._last[0] != key:  # several tensors may share a long storage
            self._last = (key, self._zip.read(self._record(key)))
        values = np.frombuffer(self._last[1], dtype=_NUMPY[tensor.storage.dtype])
        size = math.prod(tensor.shape)
        return values[tensor.offset : tensor.offset + size].reshape(tensor.shape)

    def _record(self, key: str) -> str:
        return f"{self._folder}/data/{key}"

    def _find_folder(self) -> str:
        folders = set()
        for record in self._zip.sizes:
            match = _RECORD.fullmatch(record)
            if match is None or match["folder"] in (".", ".."):
                raise ArchiveError(
                    f"record {quote(record)} has no place in a torch archive"
                )
            folders.add(match["folder"])
        if len(folders) != 1:
            raise ArchiveError("the records are not all in one folder")
        (folder,) = folders
        if f"{folder}/data.pkl" not in self._zip.sizes:
            raise ArchiveError("record data.pkl is missing: no file of torch.save")
        return folder

    def _check_notes(self) -> None:
        for name, is_fine in {
            "byteorder": lambda note: note == "little",
            "version": lambda note: note.isdecimal() and int(note) in _VERSIONS,
        }.items():
            record = f"{self._folder}/{name}"
            if record not in self._zip.sizes:  # so in older files
                continue
            if self._zip.sizes[record] > _MAX_NOTE_BYTES:
                raise ArchiveError(f"record {name} is too long")
            note = self._zip.read(record).decode("ascii", "replace").strip()
            if not is_fine(note):
                raise ArchiveError(f"{name} {quote(note)} is not one that is read here")

    def _check_storages(self) -> None:
        """Each is declared in one way, which is as long as its record."""
        storages: dict[str, state_dict_pickle.Storage] = {}
        for name, tensor in self.tensors.items():
            where = f"tensor {quote(name)}"
            storage = tensor.storage
            size = self._zip.sizes.get(self._record(storage.key))
            if size is None:
                key = quote(storage.key)
                raise ArchiveError(f"{where}: its storage {key} has no record")
            declared = storage.num_values * np.dtype(_NUMPY[storage.dtype]).itemsize
            if declared != size:
                raise ArchiveError(
                    f"{where}: a storage of {untrusted_text.number(declared)} bytes is"
                    f" declared, and its record has {size}"
                )
            if storages.setdefault(storage.key, storage) != storage:
                raise ArchiveError(f"{where}: its storage is declared in two ways")

    def _check_extents(self) -> None:
        """Each tensor lies whole, row-major and alone in its storage."""
        extents = []
        for name, tensor in self.tensors.items():
            where = f"tensor {quote(name)}"
            if not _is_row_major(tensor):
                raise ArchiveError(f"{where} is not row-major (contiguous)")
            end = tensor.offset + math.prod(tensor.shape)
            if end > tensor.storage.num_values:
                raise ArchiveError(
                    f"{where} ends at value {untrusted_text.number(end)} of a storage"
                    f" of {tensor.storage.num_values}"
                )
            extents.append((tensor.storage.key, tensor.offset, end, where))
        extents.sort()
        for before, after in zip(extents, extents[1:]):
            if before[0] == after[0] and after[1] < before[2]:
                raise ArchiveError(f"{after[3]} overlaps {before[3]}")


def _is_row_major(tensor: state_dict_pickle.Tensor) -> bool:
    step = 1
    for dim, stride in zip(reversed(tensor.shape), reversed(tensor.strides)):
        if dim != 1 and stride != step:
            return False
        step *= dim
    return True
