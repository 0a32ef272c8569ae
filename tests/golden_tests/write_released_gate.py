"""Writes a golden layer's gate as SeerAttention releases gates, with its config.

  write_released_gate GOLDEN.safetensors MODEL_DIR FOLDER

makes FOLDER's attn_gate_weights.pth and config.json, for the base model: its last
layer has the golden gate, the others have it negated.
"""

import json
import pathlib
import sys

import safetensors_file
from torch_files import torch_archive_writer


def main(golden: str, model: str, folder: str) -> None:
    metadata, tensors = safetensors_file.read(pathlib.Path(golden))
    config = json.loads((pathlib.Path(model) / "config.json").read_text())
    num_layers = config["num_hidden_layers"]
    released = {}
    for layer in range(num_layers):
        for which in ("mask_linear_q", "mask_linear_k"):
            if which not in tensors:
                continue
            values = tensors[which].values
            name = f"model.layers.{layer}.self_attn.attn_gate.{which}.weight"
            sign = 1 if layer == num_layers - 1 else -1
            released[name] = safetensors_file.Tensor("F32", sign * values)
    records = torch_archive_writer.records_of_tensors(released)
    config.update(
        base_model="tests/tiny_llama",
        seerattn_gate_type=metadata["design"],
        seerattn_gate_block_size=int(metadata["block_size"]),
        seerattn_gate_hidden_size=tensors["mask_linear_k"].values.shape[-1],
    )
    out = pathlib.Path(folder)
    content = torch_archive_writer.write_zip(records)
    (out / "attn_gate_weights.pth").write_bytes(content)
    (out / "config.json").write_text(json.dumps(config))


if __name__ == "__main__":
    main(*sys.argv[1:])
