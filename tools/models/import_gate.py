"""Imports a gate that SeerAttention released into a gate set file.

  tools/python tools/models/import_gate.py --weights attn_gate_weights.pth \\
      --config config.json --model MODEL_DIR --output gate.safetensors

The weights are a `torch.save` file of the dict that SeerAttention saves, and
config.json is the one beside it; MODEL_DIR is the Hugging Face folder of the
base model that the gate is for. The file is read without torch, and nothing in
it is run (see torch_files/torch_archive.py). Values are kept exactly: bf16 stays bf16, fp32
and fp16 become fp32. A released file says nothing of how it was trained: the
metadata says "unknown" there.
"""

import argparse
import datetime
import hashlib
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Mapping

import numpy as np

import bfloat16
import fingerprint
import safetensors_file
from torch_files import torch_archive, untrusted_text
from torch_files.untrusted_text import quote

_BLOCK_SIZE = 64  # tokens
_POOLS = r"(?=max|min|avg)(?:max)?(?:min)?(?:avg)?"
_DESIGN = re.compile(f"Q({_POOLS})_K({_POOLS})")
_POOL_NAME_LEN = 3

_UNKNOWN = ("target", "loss", "dataset_sha256", "dataset_tokens", "steps", "seed")

_VERSION_HEADER = pathlib.Path(__file__).parents[2] / "base/version.h"


class ImportGateError(ValueError):
    """What is given is no gate for this base model; the message names it."""


class BaseModel:
    """What a gate must fit."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.config = fingerprint.read_json(folder / "config.json")
        self.fields = fingerprint.config_fields(self.config)
        if self.fields["model_type"] != "llama":
            kind = quote(self.fields["model_type"])
            raise ImportGateError(f"the base model is of type {kind}, not llama")
        self.num_layers = int(self.fields["num_hidden_layers"])
        self.num_query_heads = int(self.fields["num_attention_heads"])
        self.num_kv_heads = int(self.fields["num_key_value_heads"])
        self.head_dim = int(self.fields["head_dim"])

    def fingerprint(self) -> str:
        """Reads all weights: seconds for a GB."""
        weights = fingerprint.read_weights(self.folder)
        return fingerprint.fingerprint(self.config, weights)


def find_design(config: Mapping, wanted: str) -> str:
    """The design in the gate's config; `wanted` unless that is "auto"."""
    if any(key.startswith("seerattn_k_seq_pooling") for key in config):
        raise ImportGateError(
            "config.json is of a gate for decoding (SeerAttention-R), another kind"
        )
    found = config.get("seerattn_gate_type")
    if found is None and wanted == "auto":
        raise ImportGateError(
            "config.json has no seerattn_gate_type: --design must say the design"
        )
    design = wanted if found is None else found
    if not isinstance(design, str) or not _DESIGN.fullmatch(design):
        name = quote(design) if isinstance(design, str) else "that is no text"
        raise ImportGateError(
            f"design {name} is none: want Q<pools>_K<pools>, each some of max, min,"
            " avg in that order"
        )
    if wanted not in ("auto", design):
        raise ImportGateError(
            f"--design is {quote(wanted)}, and config.json says {design}"
        )
    return design


def check_config(config: Mapping, model: BaseModel) -> None:
    """The gate's config against the base model's, wherever it says something."""
    for key, expected in {
        "seerattn_gate_block_size": _BLOCK_SIZE,
        "seerattn_gate_hidden_size": model.head_dim,
    }.items():
        found = config.get(key)
        if type(found) is not int:
            raise ImportGateError(f"config.json: {key} is missing or no number")
        if found != expected:
            number = untrusted_text.number(found)
            raise ImportGateError(f"config.json: {key} is {number}, want {expected}")
    keys = {key for key in config if key in model.fields or key == "rope_parameters"}
    # A gate's config may have a padded vocabulary, and embeddings that are tied or
    # not where the base model's are otherwise; neither changes a gate.
    keys -= {"vocab_size", "tie_word_embeddings"}
    merged = dict(model.config)
    if any(key.startswith("rope_") for key in keys):
        for key in ("rope_theta", "rope_scaling", "rope_parameters"):
            merged.pop(key, None)
    merged.update({key: config[key] for key in keys})
    for key, found in fingerprint.config_fields(merged).items():
        if found != model.fields[key]:
            raise ImportGateError(
                f"config.json: {key} is {quote(found)}, the base model's"
                f" {quote(model.fields[key])}: the gate is for another model"
            )


def linear_name(layer: int, which: str) -> str:
    """The released name of a layer's weight; `which` is q or k."""
    return f"model.layers.{layer}.self_attn.attn_gate.mask_linear_{which}.weight"


def expected_shapes(
    design: str, model: BaseModel, is_double: bool
) -> dict[str, tuple[int, int, int]]:
    """The shape of every tensor, by name."""
    num_q, num_k = (
        len(pools) // _POOL_NAME_LEN for pools in _DESIGN.fullmatch(design).groups()
    )
    dim = model.head_dim
    k_heads = model.num_kv_heads if is_double else model.num_query_heads
    shapes = {}
    for layer in range(model.num_layers):
        if is_double:
            shapes[linear_name(layer, "q")] = (model.num_query_heads, num_q * dim, dim)
        shapes[linear_name(layer, "k")] = (k_heads, num_k * dim, dim)
    return shapes


def check_tensors(tensors: Mapping, design: str, config: Mapping, model: BaseModel):
    """Whether the tensors are those of the design, by name and shape."""
    for name in tensors:
        if ".attngate_" in name:
            raise ImportGateError(
                f"tensor {quote(name)} is of a gate for decoding (SeerAttention-R),"
                " another kind"
            )
    has_q = linear_name(0, "q") in tensors
    num_q = len(_DESIGN.fullmatch(design)[1]) // _POOL_NAME_LEN
    is_double = has_q or num_q > 1 or config.get("seerattn_gate_force_double") is True
    shapes = expected_shapes(design, model, is_double)
    for name, shape in shapes.items():
        if name not in tensors:
            raise ImportGateError(f"tensor {name} {list(shape)} is missing")
        if tensors[name].shape != shape:
            found = ", ".join(map(untrusted_text.number, tensors[name].shape))
            raise ImportGateError(
                f"tensor {name} has shape [{found}], and design {design} for the base"
                f" model asks for {list(shape)}"
            )
    for name in tensors:
        if name not in shapes:
            raise ImportGateError(f"tensor {quote(name)} does not belong to this gate")


def read_tensor(
    archive: torch_archive.TorchArchive, name: str
) -> safetensors_file.Tensor:
    """A tensor as it goes to the file; every value finite."""
    values = archive.read(name)
    is_bf16 = archive.tensors[name].storage.dtype == "BF16"
    finite = bfloat16.is_finite(values) if is_bf16 else np.isfinite(values)
    if not finite.all():
        index = int(np.argmin(finite.reshape(-1)))
        raise ImportGateError(f"tensor {name}, value {index} is not finite")
    if is_bf16:
        return safetensors_file.Tensor("BF16", values)
    return safetensors_file.Tensor("F32", values.astype(np.float32))


def tool_version() -> str:
    """This program and the release it is of."""
    match = re.search(r'kVersion\[\] = "([^"]+)"', _VERSION_HEADER.read_text())
    return f"import_gate {match[1] if match else 'unknown'}"


def make_metadata(args, design: str, config: Mapping, created: str) -> dict[str, str]:
    """All but the fingerprint."""
    with args.weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    metadata = {
        "format_version": "1",
        "design": design,
        "block_size": str(_BLOCK_SIZE),
        "tool_version": tool_version(),
        "created": created,
        "imported_sha256": digest,
    }
    metadata.update({key: "unknown" for key in _UNKNOWN})
    base_model = config.get("base_model")
    if isinstance(base_model, str) and base_model.isprintable():
        metadata["imported_base_model"] = base_model[:200]
    return metadata


def write_whole(path: pathlib.Path, tensors: Mapping, metadata: Mapping) -> None:
    """Writes the file whole or not at all."""
    if path.exists():
        raise FileExistsError(f"{path} is there already")
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent) as folder:
        partial = pathlib.Path(folder) / path.name
        safetensors_file.write(partial, tensors, metadata)
        os.replace(partial, path)


def import_gate(args, created: str) -> str:
    """Writes the file; returns what was written, in words.

    Raises OSError, and ValueError where an input is not what it should be.
    """
    model = BaseModel(args.model)
    config = fingerprint.read_json(args.config)
    design = find_design(config, args.design)
    check_config(config, model)
    with torch_archive.TorchArchive(args.weights) as archive:
        check_tensors(archive.tensors, design, config, model)
        tensors = {name: read_tensor(archive, name) for name in archive.tensors}
    metadata = make_metadata(args, design, config, created)
    metadata["fingerprint"] = model.fingerprint()
    write_whole(args.output, tensors, metadata)
    case = "double" if linear_name(0, "q") in tensors else "single"
    return (
        f"{args.output}: {design}, {case} linear, {model.num_layers} layers,"
        f" for the model of fingerprint {metadata['fingerprint']}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for flag, meaning in {
        "--weights": "attn_gate_weights.pth",
        "--config": "the config.json beside it",
        "--model": "the folder of the base model",
        "--output": "the gate set file, made; must not exist",
    }.items():
        parser.add_argument(flag, required=True, type=pathlib.Path, help=meaning)
    parser.add_argument(
        "--design",
        default="auto",
        help="such as Qavg_Kmaxminavg; auto: as config.json says",
    )
    args = parser.parse_args()
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        print(import_gate(args, now.strftime("%Y-%m-%dT%H:%M:%SZ")))
    except (OSError, ValueError) as error:
        print(f"import_gate: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
