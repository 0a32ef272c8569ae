import json
import math
import pathlib
import tempfile
import unittest

import numpy as np

import bfloat16
import fingerprint
import safetensors_file

_GOLDEN = pathlib.Path("tests/golden/smollm2_135m_instruct.json")
_MODEL = pathlib.Path("external/default_model/model")

_CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 300,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 8192,
}


def fields_with(**changes):
    return fingerprint.config_fields(_CONFIG | changes)


class FingerprintTest(unittest.TestCase):

    def test_default_model_has_the_golden_one(self):
        golden = json.loads(_GOLDEN.read_text())
        config = fingerprint.read_json(_MODEL / "config.json")
        fields = fingerprint.config_fields(config)
        lines = ["seer-fingerprint-v1", *(f"{key}={fields[key]}" for key in fields)]
        self.assertEqual(lines, golden["fingerprint_config_lines"])
        self.assertEqual(
            fingerprint.fingerprint(config, fingerprint.read_weights(_MODEL)),
            golden["fingerprint"],
        )

    def test_missing_fields_are_as_the_engine_takes_them(self):
        fields = fields_with()
        self.assertEqual(fields["num_key_value_heads"], "4")
        self.assertEqual(fields["head_dim"], "16")
        self.assertEqual(fields["rope_theta"], "10000")
        self.assertEqual(fields["rope_scaling"], "none")
        self.assertEqual(fields["tie_word_embeddings"], "0")

    # The same lines as in engine/weights/fingerprint_test.cc.
    def test_scaling_fields_go_by_name(self):
        llama3 = {"rope_type": "llama3", "factor": 2.5, "low_freq_factor": 1.0}
        llama3.update(high_freq_factor=4.0, original_max_position_embeddings=8192)
        for scaling, line in [
            ({"type": "linear", "factor": 2.5}, "linear,factor:2.5"),
            (
                llama3,
                "llama3,factor:2.5,high_freq_factor:4,low_freq_factor:1,"
                "original_max_position_embeddings:8192",
            ),
            (
                {"rope_type": "yarn", "factor": math.e},
                "yarn,attention_factor:1.1,beta_fast:32,beta_slow:1,"
                "factor:2.71828,original_max_position_embeddings:8192",
            ),
            ({"rope_type": "default"}, "none"),
        ]:
            self.assertEqual(fields_with(rope_scaling=scaling)["rope_scaling"], line)
            inner = fields_with(rope_parameters=scaling | {"rope_theta": 500000.0})
            self.assertEqual(inner["rope_scaling"], line)
            self.assertEqual(inner["rope_theta"], "500000")

    def test_names_the_field_that_is_wrong(self):
        for changes, name in [
            ({"model_type": None}, "model_type"),
            ({"hidden_size": 0}, "hidden_size"),
            ({"num_hidden_layers": True}, "num_hidden_layers"),
            ({"head_dim": "64"}, "head_dim"),
            ({"rms_norm_eps": math.nan}, "rms_norm_eps"),
            ({"rms_norm_eps": math.inf}, "rms_norm_eps"),
            ({"rms_norm_eps": 10**400}, "rms_norm_eps"),
            ({"rope_theta": -1}, "rope_theta"),
            ({"rope_theta": 10**400}, "rope_theta"),
            ({"rope_scaling": {"type": "linear", "factor": 10**400}}, "factor"),
            ({"rope_scaling": {"type": "yarn", "factor": 10**400}}, "factor"),
            ({"rope_scaling": {"rope_type": "longrope"}}, "rope_scaling"),
            ({"rope_scaling": {"rope_type": ["yarn"]}}, "rope_scaling"),
            ({"rope_scaling": 8}, "rope_scaling"),
            ({"rope_scaling": {"type": "linear"}}, "factor"),
        ]:
            with self.assertRaisesRegex(fingerprint.ModelError, name):
                fields_with(**changes)

    def test_values_count_as_bf16_and_tied_heads_do_not_count(self):
        wide = np.float32([1.0, -2.5, 3.14159])
        bits = bfloat16.from_float32(wide)
        first = fingerprint.fingerprint(
            _CONFIG, {"w": safetensors_file.Tensor("BF16", bits)}
        )
        stored_wider = {"w": safetensors_file.Tensor("F32", wide)}
        self.assertEqual(fingerprint.fingerprint(_CONFIG, stored_wider), first)
        head = {"lm_head.weight": safetensors_file.Tensor("F32", wide)}
        both = stored_wider | head
        self.assertNotEqual(fingerprint.fingerprint(_CONFIG, both), first)
        tied = _CONFIG | {"tie_word_embeddings": True}
        self.assertEqual(
            fingerprint.fingerprint(tied, both),
            fingerprint.fingerprint(tied, stored_wider),
        )

    def test_reads_shards(self):
        tensors = {
            name: safetensors_file.Tensor("F32", np.float32([seed, 2.0]))
            for seed, name in enumerate("abc")
        }
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for tensor in tensors:
                safetensors_file.write(
                    folder / f"{tensor}.safetensors", {tensor: tensors[tensor]}, {}
                )
            index = folder / "model.safetensors.index.json"
            shards = {tensor: f"{tensor}.safetensors" for tensor in tensors}
            index.write_text(json.dumps({"weight_map": shards}))
            read = fingerprint.read_weights(folder)
            self.assertEqual(
                fingerprint.fingerprint(_CONFIG, read),
                fingerprint.fingerprint(_CONFIG, tensors),
            )
            index.write_text(json.dumps({"weight_map": {"a": "../a.safetensors"}}))
            with self.assertRaisesRegex(fingerprint.ModelError, "no file name"):
                fingerprint.read_weights(folder)


class BFloat16Test(unittest.TestCase):

    def test_rounds_to_nearest_even(self):
        wide = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0xBF80FFFF], np.uint32)
        self.assertEqual(
            bfloat16.from_float32(wide.view(np.float32)).tolist(),
            [0x3F80, 0x3F82, 0x3F81, 0xBF81],
        )
        with self.assertRaises(ValueError):
            bfloat16.from_float32(np.float32([math.inf]))

    def test_finds_what_is_not_finite(self):
        bits = np.array([0x3F80, 0x7F80, 0xFF80, 0x7FC0, 0x7F7F, 0], np.uint16)
        self.assertEqual(
            bfloat16.is_finite(bits).tolist(), [True, False, False, False, True, True]
        )


class SafetensorsFileTest(unittest.TestCase):

    def test_refuses_broken_files(self):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name) / "x.safetensors"
            good = {"a": safetensors_file.Tensor("F32", np.float32([[1, 2]]))}
            safetensors_file.write(path, good, {"k": "v"})
            metadata, read = safetensors_file.read(path)
            self.assertEqual(metadata, {"k": "v"})
            np.testing.assert_array_equal(read["a"].values, good["a"].values)
            content = path.read_bytes()
            for broken in [
                b"",
                content[:20],
                content[:-1],
                content.replace(b"[1,2]", b"[1,3]"),
                content.replace(b"[1,2]", b"[-1,2]"),
                content.replace(b"F32", b"F99"),
                content.replace(b'{"__', b'["__'),
            ]:
                path.write_bytes(broken)
                with self.assertRaises(safetensors_file.SafetensorsError):
                    safetensors_file.read(path)


if __name__ == "__main__":
    unittest.main()
