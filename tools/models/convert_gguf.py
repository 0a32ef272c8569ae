"""Turns a GGUF file of a Llama model into a Hugging Face folder.

Writes config.json, model.safetensors (bf16), tokenizer.json,
tokenizer_config.json and generation_config.json. Quantised tensors are
dequantised to float32 and rounded to nearest-even bf16; the rows of Q and K are
put back from GGUF's interleaved order to Hugging Face's halves.

  tools/python tools/models/convert_gguf.py model.gguf FOLDER
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile

import gguf
import numpy as np

import bfloat16
import fingerprint
import safetensors_file

# GGUF's name of a tensor inside a block -> Hugging Face's.
_BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TOP_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}

# How text is cut before merging, by GGUF's name for it.
_PRE_TOKENIZERS = {
    "smollm": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {
                "type": "ByteLevel",
                "add_prefix_space": False,
                "trim_offsets": True,
                "use_regex": True,
            },
        ],
    },
}

_CONTROL_TOKEN = 3  # of tokenizer.ggml.token_type


class ConversionError(Exception):
    """The file holds something this tool does not turn into a folder."""


class Metadata:
    """The key-value part of a GGUF file."""

    def __init__(self, reader: gguf.GGUFReader):
        self._fields = reader.fields

    def get(self, key: str, default=None):
        """The value of `key`, or `default` where the file has none."""
        field = self._fields.get(key)
        return default if field is None else field.contents()

    def __getitem__(self, key: str):
        if key not in self._fields:
            raise ConversionError(f"the file has no {key}")
        return self.get(key)


def hugging_face_name(name: str) -> str:
    """The Hugging Face name of GGUF's tensor `name`."""
    stem = name.removesuffix(".weight")
    if stem in _TOP_NAMES:
        return _TOP_NAMES[stem] + ".weight"
    block = stem.split(".")
    if len(block) == 3 and block[0] == "blk" and block[2] in _BLOCK_NAMES:
        return f"model.layers.{block[1]}.{_BLOCK_NAMES[block[2]]}.weight"
    raise ConversionError(f"unknown tensor {name}")


def half_split_rows(values: np.ndarray, num_heads: int) -> np.ndarray:
    """Rows [heads, D/2, 2] of a projection, reordered to [heads, 2, D/2]."""
    rows, columns = values.shape
    half = rows // num_heads // 2
    heads = values.reshape(num_heads, half, 2, columns)
    return heads.swapaxes(1, 2).reshape(rows, columns)


def read_tensors(
    reader: gguf.GGUFReader, config: dict
) -> dict[str, safetensors_file.Tensor]:
    """All tensors as bf16, by Hugging Face name."""
    tensors = {}
    for tensor in reader.tensors:
        name = hugging_face_name(tensor.name)
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        values = values.reshape([int(dim) for dim in reversed(tensor.shape)])
        if name.endswith("q_proj.weight"):
            values = half_split_rows(values, config["num_attention_heads"])
        if name.endswith("k_proj.weight"):
            values = half_split_rows(values, config["num_key_value_heads"])
        bits = bfloat16.from_float32(values)
        tensors[name] = safetensors_file.Tensor("BF16", bits)
    return tensors


def make_config(metadata: Metadata, tensor_names: set[str]) -> dict:
    """config.json of a Llama model."""
    architecture = metadata["general.architecture"]
    if architecture != "llama":
        raise ConversionError(f"architecture {architecture} is not llama")
    scaling = metadata.get("llama.rope.scaling.type", "none")
    if scaling != "none" or "rope_freqs.weight" in tensor_names:
        raise ConversionError("rope scaling is not converted")
    num_heads = metadata["llama.attention.head_count"]
    hidden_size = metadata["llama.embedding_length"]
    # Stored as float32: its shortest decimal is the number that was meant.
    epsilon = np.float32(metadata["llama.attention.layer_norm_rms_epsilon"])
    theta = np.float32(metadata["llama.rope.freq_base"])
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": metadata["tokenizer.ggml.bos_token_id"],
        "eos_token_id": metadata["tokenizer.ggml.eos_token_id"],
        "head_dim": metadata.get("llama.rope.dimension_count", hidden_size // num_heads),
        "hidden_act": "silu",
        "hidden_size": hidden_size,
        "initializer_range": 0.041666666666666664,
        "intermediate_size": metadata["llama.feed_forward_length"],
        "max_position_embeddings": metadata["llama.context_length"],
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": num_heads,
        "num_hidden_layers": metadata["llama.block_count"],
        "num_key_value_heads": metadata["llama.attention.head_count_kv"],
        "pad_token_id": metadata["tokenizer.ggml.padding_token_id"],
        "pretraining_tp": 1,
        "rms_norm_eps": float(str(epsilon)),
        "rope_scaling": None,
        "rope_theta": float(str(theta)),
        "tie_word_embeddings": "output.weight" not in tensor_names,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": metadata["llama.vocab_size"],
    }


def make_tokenizer(metadata: Metadata) -> dict:
    """tokenizer.json of a byte-level BPE."""
    model = metadata["tokenizer.ggml.model"]
    pre_tokenizer = metadata["tokenizer.ggml.pre"]
    if model != "gpt2" or pre_tokenizer not in _PRE_TOKENIZERS:
        raise ConversionError(f"tokenizer {model}, {pre_tokenizer} is not known")
    tokens = metadata["tokenizer.ggml.tokens"]
    types = metadata["tokenizer.ggml.token_type"]
    added = [
        {
            "id": token_id,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token_id, (token, kind) in enumerate(zip(tokens, types))
        if kind == _CONTROL_TOKEN
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": True}
    byte_level.update(trim_offsets=True, use_regex=True)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": _PRE_TOKENIZERS[pre_tokenizer],
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: token_id for token_id, token in enumerate(tokens)},
            "merges": metadata["tokenizer.ggml.merges"],
        },
    }


def make_tokenizer_config(metadata: Metadata) -> dict:
    """tokenizer_config.json with the special tokens' roles and the template."""
    tokens = metadata["tokenizer.ggml.tokens"]
    roles = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    config = {"add_prefix_space": metadata["tokenizer.ggml.add_space_prefix"]}
    for role, key in roles.items():
        token_id = metadata.get(f"tokenizer.ggml.{key}_token_id")
        config[f"{role}_token"] = None if token_id is None else tokens[token_id]
    config["clean_up_tokenization_spaces"] = False
    config["model_max_length"] = metadata["llama.context_length"]
    config["tokenizer_class"] = "GPT2Tokenizer"
    template = metadata.get("tokenizer.chat_template")
    if template is not None:
        config["chat_template"] = template
    return config


def make_generation_config(metadata: Metadata) -> dict:
    """generation_config.json: the ids that begin and end a text."""
    names = {"bos": "bos", "eos": "eos", "pad": "padding"}
    return {
        f"{role}_token_id": metadata[f"tokenizer.ggml.{key}_token_id"]
        for role, key in names.items()
    }


def write_json(path: pathlib.Path, value: dict) -> None:
    """Writes `value` as UTF-8, indented."""
    text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    path.write_text(text, encoding="utf-8")


def convert(gguf_path: str, folder: pathlib.Path) -> str:
    """Writes the folder, whole or not at all, and returns its fingerprint.

    Raises ConversionError where the file holds what is not converted, and
    FileExistsError where there is a folder already.
    """
    if folder.exists():
        raise FileExistsError(folder)
    reader = gguf.GGUFReader(gguf_path)
    metadata = Metadata(reader)
    config = make_config(metadata, {tensor.name for tensor in reader.tensors})
    tensors = read_tensors(reader, config)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = pathlib.Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
    try:
        write_json(partial / "config.json", config)
        write_json(partial / "tokenizer.json", make_tokenizer(metadata))
        write_json(partial / "tokenizer_config.json", make_tokenizer_config(metadata))
        write_json(partial / "generation_config.json", make_generation_config(metadata))
        safetensors_file.write(
            partial / "model.safetensors", tensors, {"format": "pt"}
        )
        partial.chmod(0o755)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return fingerprint.fingerprint(config, tensors)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("gguf", help="the GGUF file")
    parser.add_argument("folder", type=pathlib.Path, help="made; must not exist")
    args = parser.parse_args()
    try:
        print(f"fingerprint {convert(args.gguf, args.folder)}")
    except (ConversionError, OSError, ValueError) as error:
        print(f"convert_gguf: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
