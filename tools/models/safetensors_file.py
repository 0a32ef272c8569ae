"""safetensors files: written from numpy arrays, read as arrays that map them."""

import dataclasses
import json
import math
import os
import pathlib
import struct
from collections.abc import Mapping

import numpy as np

# How numpy holds the types read and written here; bf16 as its bits.
_NUMPY = {"BF16": "<u2", "F16": "<f2", "F32": "<f4", "I32": "<i4", "U8": "u1"}

_MAX_HEADER_BYTES = 100_000_000


class SafetensorsError(ValueError):
    """A file that is no safetensors file, or not one of the types above."""


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One tensor: `dtype` as safetensors names it, `values` as `_NUMPY` says."""

    dtype: str
    values: np.ndarray


def write(
    path: pathlib.Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Writes the tensors, row-major and in name order, and waits for the disk."""
    header: dict = {"__metadata__": dict(metadata)}
    offset = 0
    for name in sorted(tensors):
        values = tensors[name].values
        end = offset + values.nbytes
        header[name] = {
            "dtype": tensors[name].dtype,
            "shape": list(values.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for name in sorted(tensors):
            tensor = tensors[name]
            file.write(tensor.values.astype(_NUMPY[tensor.dtype], copy=False).tobytes())
        file.flush()
        os.fsync(file.fileno())


def read(path: pathlib.Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors; these borrow from a mapping of the file.

    Raises OSError, and SafetensorsError naming the file and what is wrong.
    """
    if path.stat().st_size < 8:
        raise SafetensorsError(f"{path}: too short for a safetensors file")
    data = np.memmap(path, mode="r", dtype=np.uint8)
    (header_size,) = struct.unpack("<Q", data[:8].tobytes())
    if header_size > min(len(data) - 8, _MAX_HEADER_BYTES):
        raise SafetensorsError(f"{path}: a header of {header_size} bytes")
    try:
        header = json.loads(data[8 : 8 + header_size].tobytes())
        metadata = header.pop("__metadata__", {})
        data = data[8 + header_size :]
        tensors = {name: _tensor(entry, data) for name, entry in header.items()}
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise SafetensorsError(f"{path}: {error!r} in the header") from error
    return metadata, tensors


def _tensor(entry: dict, data: np.ndarray) -> Tensor:
    dtype, shape = entry["dtype"], [int(dim) for dim in entry["shape"]]
    begin, end = entry["data_offsets"]
    size = math.prod(shape) * np.dtype(_NUMPY[dtype]).itemsize
    is_inside = 0 <= begin <= end <= len(data)
    if not is_inside or end - begin != size or min(shape + [0]) < 0:
        raise ValueError(f"data_offsets {begin}, {end} of shape {shape}")
    return Tensor(dtype, data[begin:end].view(_NUMPY[dtype]).reshape(shape))
