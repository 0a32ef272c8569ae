"""Our tokenizer and chat templates against Hugging Face's and Jinja.

Every text must get exactly the ids that the `tokenizers` library gives, and
every chat exactly the text that Jinja renders.
"""

import json
import pathlib
import random
import subprocess
import sys
import unicodedata
import unittest

_EXTERNAL = pathlib.Path("external").absolute()
for _name in ("hugging_face_tokenizers", "jinja"):
    sys.path.insert(0, str(_EXTERNAL / _name))

# pylint: disable=wrong-import-position
import jinja2.sandbox  # noqa: E402
import tokenizers  # noqa: E402

_FOLDERS = {
    "smollm2": _EXTERNAL / "default_model/model",
    "llama3": _EXTERNAL / "llama3_tokenizer/model",
}
_LLAMA31_TEMPLATE = (
    _EXTERNAL / "llama_chat_templates/ldp/nn/chat_templates"
    "/llama3.1_chat_template_hf.jinja"
)

# Of each kind of long text, about so many characters.
_LONG_TEXT = 1_000_000
_NUM_RANDOM_TEXTS = 3000

_SPACES = [
    chr(c)
    for c in [*range(0x09, 0x0E), 0x1C, 0x1F, 0x20, 0x85, 0xA0, 0x1680, 0x180E]
    + [*range(0x2000, 0x200C), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF]
]
_HARD_PIECES = (
    ["'s", "'LL", "'\u017f", "'re", "DON'T", " 's", "\r\n", "\n\n", " \n "]
    + ["\t\tx", "\x00", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|im_"]
    + ["|>", "<repo_name>", "<|begin_of_text|>", "<|end_header_id|>"]
)


def run(program, folder, requests):
    """The replies of one of our programs, one a request."""
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    reply = subprocess.run(
        [f"engine/tokenizer/{program}", folder],
        input=lines,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in reply.stdout.splitlines()]


def assigned_characters():
    """The characters that Python's Unicode knows, which PCRE2's knows too.

    Later ones may be letters to one library and nothing yet to the other.
    """
    return [
        chr(c)
        for c in range(0x110000)
        if unicodedata.category(chr(c)) not in ("Cn", "Cs")
    ]


def random_texts(seed):
    """Short texts of what pre-tokenizers treat differently."""
    source = random.Random(seed)
    characters = assigned_characters()
    letters = "abcdefgh ,.'!?ABC"

    def piece():
        size = source.randrange(1, 12)
        return source.choice([
            lambda: "".join(source.choices(characters, k=size)),
            lambda: "".join(source.choices(_SPACES, k=size // 2 + 1)),
            lambda: "".join(source.choices(letters, k=2 * size)),
            lambda: "".join(map(chr, source.choices(range(128), k=size))),
            lambda: source.choice(_HARD_PIECES),
            lambda: str(source.randrange(10**size)),
            lambda: source.choice("a\u00e91 \u65e5") * 3 * size,
        ])()

    return [
        "".join(piece() for _ in range(source.randrange(1, 30)))
        for _ in range(_NUM_RANDOM_TEXTS)
    ]


def long_texts(repository):
    """Whole files of a repository of texts, up to _LONG_TEXT characters."""
    texts = []
    size = 0
    for path in sorted((_EXTERNAL / repository / "texts").rglob("*.*")):
        texts.append(path.read_text(encoding="utf-8"))
        size += len(texts[-1])
        if size >= _LONG_TEXT:
            return texts
    raise AssertionError(f"{repository} has only {size} characters")


class TokenizerTest(unittest.TestCase):

    def check(self, texts, parse_special):
        for name, folder in _FOLDERS.items():
            theirs = tokenizers.Tokenizer.from_file(
                str(folder / "tokenizer.json"))
            theirs.encode_special_tokens = not parse_special
            requests = [{
                "text": text,
                "parse_special": parse_special,
                "add_special": True,
            } for text in texts]
            ours = run("encode", folder, requests)
            self.assertEqual(len(ours), len(texts))
            expected = theirs.encode_batch_fast(texts)
            for text, our_ids, encoding in zip(texts, ours, expected):
                if our_ids != encoding.ids:
                    self.fail(f"{name}: {text[:500]!r}\n{our_ids[:200]}\n"
                              f"{encoding.ids[:200]}")

    def test_novels(self):
        self.check(long_texts("novels"), True)

    def test_proofs(self):
        self.check(long_texts("proofs"), False)

    def test_random_texts_with_special_tokens(self):
        self.check(random_texts(1), True)

    def test_random_texts_without_special_tokens(self):
        self.check(random_texts(2), False)


class ChatTest(unittest.TestCase):

    def chats(self):
        source = random.Random(3)
        texts = ["", " ", "Hi", "\n\n x \t", "\u3000y\x1f", "It's 2024.\r\n",
                 "na\u00efve \U0001f642", "<|im_end|>", "{{ x }}"]
        roles = ["system", "user", "assistant"]
        return [[{
            "role": source.choice(roles),
            "content": source.choice(texts)
        } for _ in range(source.randrange(1, 6))] for _ in range(300)]

    def check(self, folder, template):
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True)
        compiled = environment.from_string(template)
        config = json.loads((folder / "tokenizer_config.json").read_text())
        requests = [{
            "template": template,
            "messages": messages,
            "add_generation_prompt": i % 2 == 0,
        } for i, messages in enumerate(self.chats())]
        ours = run("render_chat", folder, requests)
        self.assertEqual(len(ours), len(requests))
        for request, text in zip(requests, ours):
            expected = compiled.render(
                messages=request["messages"],
                add_generation_prompt=request["add_generation_prompt"],
                bos_token=config["bos_token"])
            self.assertEqual(text, expected, request)

    def test_own_templates(self):
        for folder in _FOLDERS.values():
            config = json.loads((folder / "tokenizer_config.json").read_text())
            self.check(folder, config["chat_template"])

    def test_llama31(self):
        template = _LLAMA31_TEMPLATE.read_text(encoding="utf-8")
        self.check(_FOLDERS["llama3"], template)


if __name__ == "__main__":
    unittest.main()
