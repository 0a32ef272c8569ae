"""Text out of files from elsewhere, as messages show it."""

_MAX_LEN = 100


def quote(text: str) -> str:
    """`text` on one line, cut where it is long."""
    return repr(text[:_MAX_LEN]) + ("..." if len(text) > _MAX_LEN else "")


def number(value: int) -> str:
    """`value` in digits, unless there are many."""
    return str(value) if abs(value) < 1 << 64 else "2^64 or more"
