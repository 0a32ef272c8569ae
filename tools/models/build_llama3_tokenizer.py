"""Makes a Hugging Face tokenizer folder from Llama 3's tokenizer.model.

The file lists tokens as base64 of their bytes, by rank. A pair of tokens is a
merge where joining it gives a token; merges go by the rank of what they give.

  build_llama3_tokenizer.py tokenizer.model FOLDER
"""

import argparse
import base64
import json
import pathlib
import sys

# How Llama 3 cuts text into words.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_NUM_SPECIAL_TOKENS = 256
_NAMED_SPECIAL_TOKENS = {
    0: "begin_of_text",
    1: "end_of_text",
    4: "finetune_right_pad_id",
    6: "start_header_id",
    7: "end_header_id",
    8: "eom_id",
    9: "eot_id",
    10: "python_tag",
}

_CHAT_TEMPLATE = (
    "{% set loop_messages = messages %}"
    "{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


def byte_characters() -> list[str]:
    """The character that stands for each byte in byte-level notation."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = {byte: chr(byte) for byte in printable}
    characters.update({byte: chr(256 + i) for i, byte in enumerate(others)})
    return [characters[byte] for byte in range(256)]


def read_ranks(path: str) -> dict[bytes, int]:
    """The ranks of tokens, by their bytes."""
    ranks = {}
    with open(path, encoding="ascii") as file:
        for line in file:
            token, rank = line.split()
            ranks[base64.b64decode(token)] = int(rank)
    return ranks


def find_merges(ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """All pairs of tokens that make a token, in order."""
    merges = []
    for token, rank in ranks.items():
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in ranks and right in ranks:
                merges.append((rank, ranks[left], ranks[right], left, right))
    merges.sort(key=lambda merge: merge[:3])
    return [(left, right) for *_, left, right in merges]


def special_tokens() -> list[str]:
    """The control tokens, which follow the others."""
    names = []
    reserved = 0
    for index in range(_NUM_SPECIAL_TOKENS):
        name = _NAMED_SPECIAL_TOKENS.get(index)
        if name is None:
            name = f"reserved_special_token_{reserved}"
            reserved += 1
        names.append(f"<|{name}|>")
    return names


def make_tokenizer(ranks: dict[bytes, int]) -> dict:
    """tokenizer.json."""
    characters = byte_characters()

    def spell(token: bytes) -> str:
        return "".join(characters[byte] for byte in token)

    added = [
        {
            "id": len(ranks) + index,
            "content": content,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for index, content in enumerate(special_tokens())
    ]
    bos = added[0]
    byte_level = {"type": "ByteLevel", "add_prefix_space": True}
    byte_level.update(trim_offsets=True, use_regex=True)
    split = {"type": "Split", "pattern": {"Regex": _WORDS}}
    split.update(behavior="Isolated", invert=False)
    template = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": bos["content"], "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [
            {"SpecialToken": {"id": bos["content"], "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": bos["content"], "type_id": 1}},
            {"Sequence": {"id": "B", "type_id": 1}},
        ],
        "special_tokens": {
            bos["content"]: {
                "id": bos["content"],
                "ids": [bos["id"]],
                "tokens": [bos["content"]],
            }
        },
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                split,
                byte_level | {"add_prefix_space": False, "use_regex": False},
            ],
        },
        "post_processor": {
            "type": "Sequence",
            "processors": [
                byte_level | {"trim_offsets": False},
                template,
            ],
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": {spell(token): rank for token, rank in ranks.items()},
            "merges": [
                f"{spell(left)} {spell(right)}"
                for left, right in find_merges(ranks)
            ],
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("ranks", help="tokenizer.model")
    parser.add_argument("folder", type=pathlib.Path, help="made if missing")
    args = parser.parse_args()
    tokenizer = make_tokenizer(read_ranks(args.ranks))
    config = {
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "clean_up_tokenization_spaces": True,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": _CHAT_TEMPLATE,
    }
    args.folder.mkdir(parents=True, exist_ok=True)
    for name, value in {
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": config,
        "generation_config.json": {"eos_token_id": [128001, 128008, 128009]},
    }.items():
        text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
        (args.folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
