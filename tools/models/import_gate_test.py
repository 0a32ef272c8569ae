import contextlib
import io
import json
import os
import pathlib
import re
import sys
import tempfile
import unittest
from unittest import mock

import numpy as np

import bfloat16
import fingerprint
import import_gate
import safetensors_file
from safetensors_file import Tensor
from torch_files import torch_archive_writer as writer

_LAYERS, _QUERY_HEADS, _KV_HEADS, _DIM = 2, 4, 2, 8

_BASE_CONFIG = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": _LAYERS,
    "num_attention_heads": _QUERY_HEADS,
    "num_key_value_heads": _KV_HEADS,
    "vocab_size": 300,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "tie_word_embeddings": False,
}

# What SeerAttention adds to the base model's.
_GATE_CONFIG = _BASE_CONFIG | {
    "architectures": ["SeerAttnLlamaForCausalLM"],
    "base_model": "example/Tiny-Llama",
    "fused_norm": False,
    "head_dim": _DIM,
    "use_flash_rope": False,
    "seerattn_gate_block_size": 64,
    "seerattn_gate_force_double": False,
    "seerattn_gate_hidden_size": _DIM,
    "seerattn_gate_type": "Qavg_Kmaxminavg",
    "seerattn_last_block_dense": True,
    "seerattn_nz_ratio": 1.0,
    "seerattn_sparsity_method": "threshold",
    "seerattn_threshold": 0.0,
}


def linear(layer, which):
    return f"model.layers.{layer}.self_attn.attn_gate.mask_linear_{which}.weight"


def values(seed, *shape, dtype="BF16"):
    wide = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    if dtype == "BF16":
        return Tensor(dtype, bfloat16.from_float32(wide))
    return Tensor(dtype, wide.astype({"F16": np.float16, "F32": np.float32}[dtype]))


def single(key_pools=3, **more):
    shape = (_QUERY_HEADS, key_pools * _DIM, _DIM)
    return {linear(i, "k"): values(i, *shape, **more) for i in range(_LAYERS)}


def double(query_pools, key_pools):
    tensors = {}
    for i in range(_LAYERS):
        q_shape = (_QUERY_HEADS, query_pools * _DIM, _DIM)
        tensors[linear(i, "q")] = values(10 + i, *q_shape)
        tensors[linear(i, "k")] = values(20 + i, _KV_HEADS, key_pools * _DIM, _DIM)
    return tensors


class ImportGateTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.output = self.folder / "gate.safetensors"
        self.model = self.folder / "model"
        self.model.mkdir()
        self.write_json("model/config.json", _BASE_CONFIG)
        self.weights = {"model.norm.weight": values(3, 32)}
        safetensors_file.write(self.model / "model.safetensors", self.weights, {})

    def write_json(self, name, value):
        (self.folder / name).write_text(json.dumps(value))

    def run_tool(self, tensors, config=_GATE_CONFIG, flags=(), share_storage=False):
        """(exit status, standard output, standard error)."""
        records = writer.records_of_tensors(tensors, share_storage)
        (self.folder / "gate.pth").write_bytes(writer.write_zip(records))
        self.write_json("config.json", config)
        return self.run_on_files(flags)

    def run_on_files(self, flags=()):
        arguments = ["import_gate.py", f"--weights={self.folder / 'gate.pth'}"]
        arguments += [f"--config={self.folder / 'config.json'}"]
        arguments += [f"--model={self.model}", f"--output={self.output}", *flags]
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.object(sys, "argv", arguments):
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = import_gate.main()
        return status, out.getvalue(), err.getvalue()

    def imported(self, tensors, **options):
        """The metadata of the file, whose tensors must be those given."""
        status, out, err = self.run_tool(tensors, **options)
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(out.count("\n"), 1)
        metadata, read = safetensors_file.read(self.output)
        self.assertEqual(sorted(read), sorted(tensors))
        for name, tensor in read.items():
            expected = tensors[name]
            if expected.dtype != "F16":
                self.assertEqual(tensor.dtype, expected.dtype)
                self.assertEqual(tensor.values.tobytes(), expected.values.tobytes())
            self.assertEqual(tensor.values.shape, expected.values.shape)
        self.assertEqual(
            sorted(os.listdir(self.folder)),
            ["config.json", "gate.pth", "gate.safetensors", "model"],
        )
        self.output.unlink()
        return metadata

    def refused(self, message, tensors=None, **options):
        tensors = single() if tensors is None else tensors
        self.check_refused(message, *self.run_tool(tensors, **options))

    def check_refused(self, message, status, out, err):
        self.assertEqual((status, out), (1, ""))
        self.assertIn(message, err)
        self.assertRegex(err, r"\Aimport_gate: [^\n]{1,500}\n\Z")
        self.assertFalse(self.output.exists())

    def test_single_linear(self):
        metadata = self.imported(single())
        self.assertRegex(metadata.pop("created"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertRegex(metadata.pop("tool_version"), r"^import_gate \d+\.\d+\.\d+$")
        self.assertRegex(metadata.pop("imported_sha256"), "^[0-9a-f]{64}$")
        self.assertEqual(
            metadata,
            {
                "format_version": "1",
                "design": "Qavg_Kmaxminavg",
                "block_size": "64",
                "target": "unknown",
                "loss": "unknown",
                "fingerprint": fingerprint.fingerprint(_BASE_CONFIG, self.weights),
                "dataset_sha256": "unknown",
                "dataset_tokens": "unknown",
                "steps": "unknown",
                "seed": "unknown",
                "imported_base_model": "example/Tiny-Llama",
            },
        )

    def test_double_linear(self):
        config = _GATE_CONFIG | {"seerattn_gate_type": "Qmaxmin_Kavg"}
        self.assertEqual(
            self.imported(double(2, 1), config=config)["design"], "Qmaxmin_Kavg"
        )
        # One query pool, where the file has both weights.
        self.imported(double(1, 3))
        forced = _GATE_CONFIG | {"seerattn_gate_force_double": True}
        self.imported(double(1, 3), config=forced)
        self.refused("mask_linear_q.weight [4, 8, 8] is missing", config=forced)

    def test_one_storage_for_all(self):
        self.imported(single(), share_storage=True)

    def test_values_are_kept(self):
        self.imported(single(dtype="F32"))
        half = single(dtype="F16")
        self.run_tool(half)
        _, read = safetensors_file.read(self.output)
        for name, tensor in half.items():
            self.assertEqual(read[name].dtype, "F32")
            np.testing.assert_array_equal(read[name].values, tensor.values)

    def test_every_design(self):
        pools = ["max", "min", "avg", "maxmin", "maxavg", "minavg", "maxminavg"]
        for q in pools:
            for k in pools:
                config = _GATE_CONFIG | {"seerattn_gate_type": f"Q{q}_K{k}"}
                num_q, num_k = len(q) // 3, len(k) // 3
                tensors = double(num_q, num_k) if num_q > 1 else single(num_k)
                metadata = self.imported(tensors, config=config)
                self.assertEqual(metadata["design"], f"Q{q}_K{k}")

    def test_the_flag_says_the_design_where_the_config_does_not(self):
        without = dict(_GATE_CONFIG)
        del without["seerattn_gate_type"]
        flags = ["--design=Qmax_Kmaxminavg"]
        self.assertEqual(
            self.imported(single(), config=without, flags=flags)["design"],
            "Qmax_Kmaxminavg",
        )
        self.imported(single(), flags=["--design=Qavg_Kmaxminavg"])
        self.refused("--design must say the design", config=without)
        self.refused("config.json says Qavg_Kmaxminavg", flags=flags)
        flags = ["--design=Qsum_Kavg"]
        self.refused("design 'Qsum_Kavg' is none", config=without, flags=flags)

    def test_refuses_other_designs_shapes_and_names(self):
        def changed(name, tensor):
            tensors = single()
            tensors[name] = tensor
            return tensors

        missing = single()
        del missing[linear(1, "k")]
        q_in_one_layer = changed(linear(1, "q"), values(1, 4, 8, 8))
        decoding = {
            "model.layers.0.self_attn.attn_gate.attngate_linear_k.weight": values(1, 2)
        }
        for message, tensors in [
            ("asks for [4, 24, 8]", single(2)),
            ("has shape [2, 24, 8]", changed(linear(0, "k"), values(1, 2, 24, 8))),
            ("has shape [4, 24, 4]", changed(linear(1, "k"), values(1, 4, 24, 4))),
            ("has shape [4, 8, 24]", changed(linear(1, "k"), values(1, 4, 8, 24))),
            ("has shape [768]", changed(linear(1, "k"), values(1, 768))),
            (f"tensor {linear(1, 'k')} [4, 24, 8] is missing", missing),
            ("mask_linear_q.weight' does not belong", q_in_one_layer),
            ("layers.2.", changed(linear(2, "k"), values(1, 4, 24, 8))),
            ("'extra' does not belong", changed("extra", values(1, 2))),
            (r"'a\nb' does not belong", changed("a\nb", values(1, 2))),
            ("SeerAttention-R", decoding),
        ]:
            with self.subTest(message):
                self.refused(message, tensors)

    def test_refuses_what_is_not_finite(self):
        for dtype, number in [("F32", np.nan), ("F16", np.inf), ("BF16", 0xFF80)]:
            tensors = single(dtype=dtype)
            tensors[linear(1, "k")].values.reshape(-1)[77] = number
            self.refused(f"tensor {linear(1, 'k')}, value 77 is not finite", tensors)

    def test_refuses_configs_of_other_gates_and_models(self):
        for message, changes in [
            ("design 'Qavg_Kavgmax' is none", {"seerattn_gate_type": "Qavg_Kavgmax"}),
            ("design 'Q_Kavg' is none", {"seerattn_gate_type": "Q_Kavg"}),
            ("design that is no text", {"seerattn_gate_type": ["Qavg_Kavg"]}),
            ("block_size is 32, want 64", {"seerattn_gate_block_size": 32}),
            ("block_size is missing", {"seerattn_gate_block_size": None}),
            ("hidden_size is 128, want 8", {"seerattn_gate_hidden_size": 128}),
            ("SeerAttention-R", {"seerattn_k_seq_pooling_type": "Kmaxminavg"}),
            ("num_hidden_layers is '3', the", {"num_hidden_layers": 3}),
            ("num_attention_heads is '8', the", {"num_attention_heads": 8}),
            ("head_dim is '16', the base model's '8'", {"head_dim": 16}),
            ("rope_theta is '10000', the", {"rope_theta": None}),
            ("rope_theta is '1e+06', the", {"rope_theta": 1e6}),
            ("rope_scaling is 'none', the", {"rope_scaling": None}),
            ("model_type is 'qwen2', the", {"model_type": "qwen2"}),
            ("hidden_size is missing or no count", {"hidden_size": 1 << 80}),
            ("rms_norm_eps is missing or no finite", {"rms_norm_eps": 10**400}),
            ("rope_theta is missing or no finite", {"rope_theta": 10**400}),
        ]:
            with self.subTest(message):
                self.refused(message, config=_GATE_CONFIG | changes)

    def test_the_ropes_of_both_configs_may_be_written_in_two_ways(self):
        config = dict(_GATE_CONFIG)
        scaling = config.pop("rope_scaling") | {"rope_theta": config.pop("rope_theta")}
        self.imported(single(), config=config | {"rope_parameters": scaling})

    def test_the_vocabulary_may_be_padded(self):
        padded = {"vocab_size": 320, "tie_word_embeddings": True}
        self.imported(single(), config=_GATE_CONFIG | padded)

    def test_refuses_other_base_models(self):
        self.write_json("model/config.json", _BASE_CONFIG | {"model_type": "qwen2"})
        self.refused("of type 'qwen2', not llama")
        (self.model / "config.json").write_text("[" * 100000)
        self.refused("no JSON")
        self.write_json("model/config.json", _BASE_CONFIG)
        (self.model / "model.safetensors").write_bytes(b"x" * 100)
        self.refused("model.safetensors: a header of")

    def test_refuses_hostile_files(self):
        self.run_tool(single())
        self.output.unlink()
        good = (self.folder / "gate.pth").read_bytes()
        program = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."
        calls = writer.write_zip(writer.records_of(program, []))
        for message, content in [
            ("asks for 'posix.system'", calls),
            ("no zip archive, or a truncated one", good[:-10]),
            ("do not match its CRC", good.replace(b"3\n", b"4\n")),
        ]:
            (self.folder / "gate.pth").write_bytes(content)
            self.check_refused(message, *self.run_on_files())
        os.remove(self.folder / "gate.pth")
        self.check_refused("No such file", *self.run_on_files())

    def test_writes_over_nothing(self):
        self.output.write_text("precious")
        status, _, err = self.run_tool(single())
        self.assertEqual(status, 1)
        self.assertIn("is there already", err)
        self.assertEqual(self.output.read_text(), "precious")

    def test_is_of_the_release(self):
        text = pathlib.Path("base/version.h").read_text()
        release = re.search(r'"(\d+\.\d+\.\d+)"', text)[1]
        self.assertEqual(import_gate.tool_version(), f"import_gate {release}")


if __name__ == "__main__":
    unittest.main()
