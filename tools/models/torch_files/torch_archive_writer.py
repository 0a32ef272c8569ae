"""Writes files of `torch.save` byte by byte, whole ones and broken ones.

For tests. The layout is the one that torch 2 writes: records aligned to 64 bytes
by an extra field, sizes after each record, both ends of the directory.
"""

import collections
import dataclasses
import io
import math
import pickle
import struct
import sys
import types
import zlib
from collections.abc import Mapping

import numpy as np

import safetensors_file

_STORAGE_CLASSES = {
    "BF16": "BFloat16Storage",
    "F16": "HalfStorage",
    "F32": "FloatStorage",
    "F64": "DoubleStorage",
}
_NUMPY = {"BF16": "<u2", "F16": "<f2", "F32": "<f4"}
_ALIGNMENT = 64


@dataclasses.dataclass
class Record:
    """One record, as stored; what is not None says something else than is so."""

    name: str
    content: bytes
    method: int = 0
    flags: int = 0x0808
    crc: int | None = None
    packed_size: int | None = None
    size: int | None = None
    local_name: str | None = None


def write_zip(records: list[Record]) -> bytes:
    """The archive of the records, in order."""
    body, directory = b"", b""
    for record in records:
        name = record.name.encode()
        local = name if record.local_name is None else record.local_name.encode()
        crc = zlib.crc32(record.content) if record.crc is None else record.crc
        packed, size = (
            len(record.content) if given is None else given
            for given in (record.packed_size, record.size)
        )
        padding = -(len(body) + 30 + len(local) + 4) % _ALIGNMENT
        known = (0, 0, 0) if record.flags & 8 else (crc, packed, size)
        directory += struct.pack(
            "<4s6H3L5H2L",
            *(b"PK\1\2", 0, 0, record.flags, record.method, 0, 0, crc, packed, size),
            *(len(name), 0, 0, 0, 0, 0, len(body)),
        )
        directory += name
        body += struct.pack(
            "<4s5H3L2H",
            *(b"PK\3\4", 0, record.flags, record.method, 0, 0, *known),
            *(len(local), 4 + padding),
        )
        body += local + b"FB" + struct.pack("<H", padding) + b"Z" * padding
        body += record.content
        if record.flags & 8:
            body += struct.pack("<4s3L", b"PK\7\x08", crc, packed, size)
    count = len(records)
    end64 = struct.pack(
        "<4sQ2H2L4Q",
        *(b"PK\6\6", 44, 0x31E, 45, 0, 0, count, count, len(directory), len(body)),
    )
    end64 += struct.pack("<4sLQL", b"PK\6\7", 0, len(body) + len(directory), 1)
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0
    )
    return body + directory + end64 + end


@dataclasses.dataclass
class Declared:
    """A tensor as a pickle declares it."""

    dtype: str
    key: str
    num_values: int  # of the storage
    shape: tuple[int, ...]
    offset: int = 0
    strides: tuple[int, ...] | None = None  # row-major

    def all_strides(self) -> tuple[int, ...]:
        if self.strides is not None:
            return self.strides
        return tuple(math.prod(self.shape[d + 1 :]) for d in range(len(self.shape)))


def _torch_modules() -> dict[str, types.ModuleType]:
    """Modules that pickle takes for torch's: names, and nothing behind them."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in _STORAGE_CLASSES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    for name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
        function = types.FunctionType((lambda: None).__code__, {}, name)
        function.__module__ = "torch._utils"
        function.__qualname__ = name
        setattr(utils, name, function)
    return {"torch": torch, "torch._utils": utils}


class _Pickler(pickle.Pickler):
    """torch.save's: protocol 2, storages by reference."""

    def __init__(self, file, modules):
        super().__init__(file, protocol=2)
        self._modules = modules

    def reducer_override(self, value):
        if not isinstance(value, Declared):
            return NotImplemented
        arguments = (
            ("storage", value.dtype, value.key, value.num_values),
            value.offset,
            value.shape,
            value.all_strides(),
            False,
            collections.OrderedDict(),
        )
        return self._modules["torch._utils"]._rebuild_tensor_v2, arguments

    def persistent_id(self, value):
        if type(value) is tuple and len(value) == 4 and value[0] == "storage":
            _, dtype, key, num_values = value
            kind = getattr(self._modules["torch"], _STORAGE_CLASSES[dtype])
            return ("storage", kind, key, "cuda:0", num_values)
        return None


def pickle_dict(tensors: Mapping) -> bytes:
    """The pickle of a dict with values of Declared, or anything else."""
    modules = _torch_modules()
    saved = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        file = io.BytesIO()
        _Pickler(file, modules).dump(tensors)
        return file.getvalue()
    finally:
        for name, module in saved.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def records_of(program: bytes, storages: list[bytes]) -> list[Record]:
    """All records of a file: storage K is data/K."""
    folder = "attn_gate_weights/"
    return [
        Record(folder + "data.pkl", program),
        Record(folder + ".format_version", b"1"),
        Record(folder + ".storage_alignment", b"64"),
        Record(folder + "byteorder", b"little"),
        *(
            Record(f"{folder}data/{key}", storage)
            for key, storage in enumerate(storages)
        ),
        Record(folder + "version", b"3\n"),
        Record(folder + ".data/serialization_id", b"0" * 40),
    ]


def records_of_tensors(
    tensors: Mapping[str, safetensors_file.Tensor], share_storage: bool = False
) -> list[Record]:
    """All records of a file of tensors; `share_storage`: one after the other in
    one storage, all of one type, with a gap at the end."""
    declared, offset = {}, 0
    storages = [
        tensor.values.astype(_NUMPY[tensor.dtype], copy=False).tobytes()
        for tensor in tensors.values()
    ]
    sizes = [tensor.values.size for tensor in tensors.values()]
    for index, (name, tensor) in enumerate(tensors.items()):
        key, num_values = str(index), sizes[index]
        if share_storage:
            key, num_values = "0", sum(sizes) + 1
        declared[name] = Declared(
            tensor.dtype, key, num_values, tensor.values.shape, offset
        )
        offset += sizes[index] if share_storage else 0
    if share_storage:
        (dtype,) = {tensor.dtype for tensor in tensors.values()}
        storages = [b"".join(storages) + bytes(np.dtype(_NUMPY[dtype]).itemsize)]
    return records_of(pickle_dict(declared), storages)
