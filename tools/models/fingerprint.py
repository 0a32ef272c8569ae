"""The fingerprint of a base model: what a gate set is made for.

The same as engine/weights/fingerprint.h gives, from a Hugging Face folder.

  tools/python tools/models/fingerprint.py FOLDER
"""

import argparse
import hashlib
import json
import math
import pathlib
import sys
from collections.abc import Mapping

import numpy as np

import bfloat16
import safetensors_file

_MAX_JSON_BYTES = 1 << 24
_MAX_SIZE = 1 << 22  # of every count in a config
_VALUES_AT_A_TIME = 1 << 22

# The numeric fields of each kind of rope scaling, by name.
_SCALING_FIELDS = {
    "linear": ("factor",),
    "llama3": (
        "factor",
        "high_freq_factor",
        "low_freq_factor",
        "original_max_position_embeddings",
    ),
    "yarn": (
        "attention_factor",
        "beta_fast",
        "beta_slow",
        "factor",
        "original_max_position_embeddings",
    ),
}


class ModelError(ValueError):
    """A config or a folder that is not one of a model; the message names the field."""


def read_json(path: pathlib.Path) -> dict:
    """The JSON object of a file. Raises OSError, ModelError."""
    with path.open("rb") as file:
        text = file.read(_MAX_JSON_BYTES + 1)
    if len(text) > _MAX_JSON_BYTES:
        raise ModelError(f"{path}: over {_MAX_JSON_BYTES} bytes")
    try:
        value = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise ModelError(f"{path}: no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: no JSON object")
    return value


def _count(config: Mapping, key: str) -> int:
    value = config.get(key)
    if type(value) is not int or not 1 <= value <= _MAX_SIZE:
        raise ModelError(f"config.json: {key} is missing or no count")
    return value


def _number(config: Mapping, key: str, default: float | None = None) -> float:
    value = config.get(key)
    value = default if value is None else value
    # JSON's integers have no end, and most are no float.
    if type(value) not in (int, float) or not 0 < value <= sys.float_info.max:
        raise ModelError(f"config.json: {key} is missing or no finite number above 0")
    return float(value)


def _rope(config: Mapping) -> tuple[float, Mapping]:
    """Theta and the scaling's object, wherever the config has them."""
    for key in ("rope_parameters", "rope_scaling"):
        scaling = config.get(key)
        if scaling is None:
            continue
        if not isinstance(scaling, dict):
            raise ModelError(f"config.json: {key} is no object")
        theta = scaling.get("rope_theta", config.get("rope_theta"))
        return _number({"rope_theta": theta}, "rope_theta", 10000.0), scaling
    return _number(config, "rope_theta", 10000.0), {"rope_type": "default"}


def _scaling_line(config: Mapping, scaling: Mapping) -> str:
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind == "default":
        return "none"
    if not isinstance(kind, str) or kind not in _SCALING_FIELDS:
        raise ModelError("config.json: rope_scaling is of no type known here")
    defaults: dict[str, float] = {}
    if kind == "yarn":
        factor = _number(scaling, "factor")
        defaults = {"beta_fast": 32.0, "beta_slow": 1.0}
        defaults["attention_factor"] = 0.1 * math.log(factor) + 1.0
        if scaling.get("original_max_position_embeddings") is None:
            length = _count(config, "max_position_embeddings")
            defaults["original_max_position_embeddings"] = length
    fields = [
        "%s:%.6g" % (name, _number(scaling, name, defaults.get(name)))
        for name in _SCALING_FIELDS[kind]
    ]
    return ",".join([kind, *fields])


def config_fields(config: Mapping) -> dict[str, str]:
    """The config's part of the fingerprint: value by key, in order.

    Raises ModelError where a field is missing or of another type.
    """
    if not isinstance(config.get("model_type"), str):
        raise ModelError("config.json: model_type is missing or no text")
    num_heads = _count(config, "num_attention_heads")
    hidden_size = _count(config, "hidden_size")
    filled = {
        "num_key_value_heads": num_heads,
        "head_dim": hidden_size // num_heads,
    }
    filled.update({key: value for key, value in config.items() if value is not None})
    theta, scaling = _rope(config)
    fields = {"model_type": config["model_type"]}
    for key in (
        ["hidden_size", "intermediate_size", "num_hidden_layers"]
        + ["num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size"]
    ):
        fields[key] = str(_count(filled, key))
    fields["rms_norm_eps"] = "%.6g" % _number(config, "rms_norm_eps")
    fields["rope_theta"] = "%.6g" % theta
    fields["rope_scaling"] = _scaling_line(config, scaling)
    fields["tie_word_embeddings"] = str(int(config.get("tie_word_embeddings") is True))
    return fields


def _bf16_bytes(tensor: safetensors_file.Tensor):
    """The values as little-endian bf16, a block at a time."""
    values = tensor.values.reshape(-1)
    for begin in range(0, len(values), _VALUES_AT_A_TIME):
        block = values[begin : begin + _VALUES_AT_A_TIME]
        if tensor.dtype != "BF16":
            block = bfloat16.from_float32(block.astype(np.float32))
        yield block.astype("<u2", copy=False).tobytes()


def fingerprint(config: Mapping, tensors: Mapping[str, safetensors_file.Tensor]) -> str:
    """SHA-256, hex, of a model's config and tensors (bf16, f16 or f32)."""
    fields = config_fields(config)
    lines = ["seer-fingerprint-v1", *(f"{key}={fields[key]}" for key in fields)]
    digest = hashlib.sha256("".join(line + "\n" for line in lines).encode())
    is_tied = fields["tie_word_embeddings"] == "1"
    for name in sorted(tensors):
        if name.endswith(".rotary_emb.inv_freq") or (
            is_tied and name == "lm_head.weight"
        ):
            continue
        if tensors[name].dtype not in ("BF16", "F16", "F32"):
            raise ModelError(f"tensor {name} is {tensors[name].dtype}")
        shape = "x".join(str(dim) for dim in tensors[name].values.shape)
        digest.update(f"{name}\n{shape}\n".encode())
        for block in _bf16_bytes(tensors[name]):
            digest.update(block)
    return digest.hexdigest()


def read_weights(folder: pathlib.Path) -> dict[str, safetensors_file.Tensor]:
    """The tensors of model.safetensors, or of the shards that the index names."""
    names = ["model.safetensors"]
    if not (folder / names[0]).exists():
        index = read_json(folder / "model.safetensors.index.json").get("weight_map")
        if not isinstance(index, dict) or not index:
            raise ModelError("model.safetensors.index.json: no weight_map")
        names = sorted({str(name) for name in index.values()})
    tensors: dict[str, safetensors_file.Tensor] = {}
    for name in names:
        if pathlib.Path(name).name != name:
            raise ModelError(f"model.safetensors.index.json: {name!r} is no file name")
        shard = safetensors_file.read(folder / name)[1]
        doubled = sorted(tensors.keys() & shard.keys())
        if doubled:
            raise ModelError(f"tensor {doubled[0]} is in two files")
        tensors.update(shard)
    return tensors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=pathlib.Path, help="of the model")
    args = parser.parse_args()
    try:
        config = read_json(args.folder / "config.json")
        print(fingerprint(config, read_weights(args.folder)))
    except (OSError, ValueError) as error:
        print(f"fingerprint: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
