"""Runs the pickle of a torch state dict, and nothing else.

A pickle is a program. This machine knows the opcodes that a dict of tensors
takes, and a few globals by name, which it never imports or calls: they stand for
what torch would make of them. Any other opcode or global is an error. No opcode
copies what another made, but for a tensor's few sizes, so time and memory are at
most a fixed multiple of a program's length.
"""

import dataclasses
import pickletools

from torch_files.untrusted_text import quote

_MAX_BYTES = 1 << 22
_MAX_DIMS = 8

# Each storage class, as safetensors names its type.
_STORAGES = {
    "torch.BFloat16Storage": "BF16",
    "torch.HalfStorage": "F16",
    "torch.FloatStorage": "F32",
}
_ORDERED_DICT = "collections.OrderedDict"
_REBUILD_TENSOR = "torch._utils._rebuild_tensor_v2"
_REBUILD_PARAMETER = "torch._utils._rebuild_parameter"
_GLOBALS = {*_STORAGES, _ORDERED_DICT, _REBUILD_TENSOR, _REBUILD_PARAMETER}

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "BINUNICODE",
    "SHORT_BINUNICODE",
}
_TUPLE_SIZES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class PickleError(ValueError):
    """The pickle is not one of a dict of tensors."""


@dataclasses.dataclass(frozen=True)
class Storage:
    """Consecutive values under a key of the archive."""

    key: str
    dtype: str  # BF16, F16 or F32
    num_values: int  # as declared


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor as declared: nothing of it has been checked against a storage."""

    storage: Storage
    offset: int  # in values
    shape: tuple[int, ...]  # at most 8
    strides: tuple[int, ...]  # in values


@dataclasses.dataclass(frozen=True)
class _Global:
    name: str


_MARK = object()


def read_state_dict(program: bytes) -> dict[str, Tensor]:
    """The tensors of a pickled dict or OrderedDict, by name. Raises PickleError."""
    if len(program) > _MAX_BYTES:
        raise PickleError(f"a pickle of {len(program)} bytes is over {_MAX_BYTES}")
    try:
        value = _Machine().run(program)
    except (IndexError, KeyError) as error:
        raise PickleError("the pickle takes what it never made") from error
    except PickleError:
        raise
    except ValueError as error:  # of pickletools
        text = quote(str(error))
        raise PickleError(f"the pickle is broken: {text}") from error
    if type(value) is not dict or not value:
        raise PickleError("the pickle holds no dict of tensors")
    for name, tensor in value.items():
        if not isinstance(tensor, Tensor):
            raise PickleError(f"entry {quote(name)} is no tensor")
    return value


class _Machine:
    """One run of a pickle."""

    def __init__(self):
        self._stack: list = []
        self._memo: dict = {}

    def run(self, program: bytes):
        for opcode, argument, position in pickletools.genops(program):
            if opcode.name == "STOP":
                if len(self._stack) != 1 or position + 1 != len(program):
                    raise PickleError("the pickle goes on after its end")
                break
            self._step(opcode.name, argument)
        return self._stack.pop()

    def _step(self, name: str, argument) -> None:
        stack = self._stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLE_SIZES:
            stack.append(tuple(self._pop(_TUPLE_SIZES[name])))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            stack.append(tuple(self._pop_to_mark()))
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name in ("SETITEM", "SETITEMS"):
            items = self._pop(2) if name == "SETITEM" else self._pop_to_mark()
            _set_items(stack[-1], items)
        elif name == "GLOBAL":
            stack.append(_find_global(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(_find_global(*self._pop(2)))
        elif name == "BINPERSID":
            stack.append(_find_storage(*self._pop(1)))
        elif name == "REDUCE":
            stack.append(_apply(*self._pop(2)))
        elif name == "BUILD":
            # Attributes, which torch gives its dicts; they hold no tensors.
            target, _ = self._pop(2)
            if type(target) is not dict:
                raise PickleError("the pickle sets attributes of no dict")
            stack.append(target)
        elif name not in ("PROTO", "FRAME"):
            raise PickleError(f"the pickle has opcode {name}, which no tensor needs")

    def _pop(self, count: int) -> list:
        if len(self._stack) < count:
            raise IndexError
        begin = len(self._stack) - count
        taken = self._stack[begin:]
        del self._stack[begin:]
        return taken

    def _pop_to_mark(self) -> list:
        taken = []
        while (value := self._stack.pop()) is not _MARK:
            taken.append(value)
        return taken[::-1]


def _set_items(target, items: list) -> None:
    if type(target) is not dict or len(items) % 2:
        raise PickleError("the pickle sets items of no dict")
    for key, value in zip(items[::2], items[1::2]):
        if type(key) is not str:
            raise PickleError("the pickle has a key that is no text")
        if key in target:
            raise PickleError(f"entry {quote(key)} is there twice")
        target[key] = value


def _find_global(module, attribute) -> _Global:
    name = f"{module}.{attribute}" if type(module) is type(attribute) is str else ""
    if name not in _GLOBALS:
        raise PickleError(
            f"the pickle asks for {quote(name)}, which no dict of bf16,"
            " fp16 or fp32 tensors needs"
        )
    return _Global(name)


def _is_count(value) -> bool:
    return type(value) is int and value >= 0


def _are_counts(value) -> bool:
    """Whether it can be a shape or strides. A tuple may be long, and be given
    again and again: its length is looked at before what is in it."""
    if type(value) is not tuple:
        return False
    if len(value) > _MAX_DIMS:
        raise PickleError(f"a tensor has {len(value)} dimensions, over {_MAX_DIMS}")
    return all(map(_is_count, value))


def _find_storage(reference) -> Storage:
    """What ("storage", class, key, device, number of values) stands for."""
    if type(reference) is tuple and len(reference) == 5:
        word, kind, key, device, num_values = reference
        is_storage = type(kind) is _Global and kind.name in _STORAGES
        if (
            (type(word), type(key), type(device)) == (str, str, str)
            and word == "storage"
            and is_storage
            and _is_count(num_values)
        ):
            return Storage(key, _STORAGES[kind.name], num_values)
    raise PickleError("the pickle refers to something that is no storage")


def _apply(function, arguments):
    """What calling a global would give."""
    if type(function) is not _Global or type(arguments) is not tuple:
        raise PickleError("the pickle calls something that is no function")
    if function.name == _ORDERED_DICT and not arguments:
        return {}
    if function.name == _REBUILD_PARAMETER and len(arguments) == 3:
        if isinstance(arguments[0], Tensor):
            return arguments[0]
    if function.name == _REBUILD_TENSOR and len(arguments) == 6:
        storage, offset, shape, strides, requires_grad, hooks = arguments
        is_tensor = (
            isinstance(storage, Storage)
            and _is_count(offset)
            and _are_counts(shape)
            and _are_counts(strides)
            and len(shape) == len(strides)
            and type(requires_grad) is bool
            and type(hooks) is dict
            and not hooks
        )
        if is_tensor:
            return Tensor(storage, offset, shape, strides)
    raise PickleError(f"the pickle calls {function.name} on what does not fit")
