"""bf16 in numpy, which has no such type: its bits, as uint16."""

import numpy as np

_EXPONENT = 0x7F80


def from_float32(values: np.ndarray) -> np.ndarray:
    """The bits of the nearest bf16, ties to even; of the shape of `values`.

    Raises ValueError where a value is not finite.
    """
    if not np.isfinite(values).all():
        raise ValueError("a tensor holds values that are not finite")
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounding = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return ((bits + rounding) >> np.uint32(16)).astype(np.uint16)


def is_finite(bits: np.ndarray) -> np.ndarray:
    """For each value, whether it is a number and not infinite."""
    return (bits & np.uint16(_EXPONENT)) != _EXPONENT
