import unittest

import render


def row(what, mask, sparsity, milliseconds, tflops):
    return {"what": what, "mask": mask, "sparsity": sparsity, "head_dim": 128,
            "length": 8192, "milliseconds": milliseconds, "tflops": tflops}


FIGURES = {
    "commit": "abc",
    "device": "a card",
    "software": "PyTorch",
    "heads": [32, 8],
    "copy_gb_a_second": 4000.0,
    "prefill": [
        row("cuDNN", "dense", 0.0, 1.0, 600.0),
        row("SeerServe", "dense", 0.0, 1.25, 480.0),
        row("SeerServe", "random", 0.5, 0.5, 540.0),
        row("SeerServe", "structured", 0.5, 0.5, 541.0),
    ],
    "chunks": [{"length": 32768, "rows": 2048, "milliseconds": 0.5}],
    "decode": [{"head_dim": 128, "batch": 8, "length": 4096,
                "microseconds": 50.0, "gb_a_second": 2000.0}],
}


class RenderTest(unittest.TestCase):
    def test_rates_are_relative_to_the_dense_peer(self):
        text = render.report(FIGURES, "plot.svg")
        self.assertIn("| 8k 50% random | 0.500 | 540 | 0.90 | 2.00 |", text)
        self.assertIn("| 8k dense | 1.250 | 480 | 0.80 | 0.80 |", text)
        self.assertIn("| 128, 8 x 4096 | 50.0 | 2000 | 0.50 |", text)

    def test_a_line_has_the_dense_and_the_random_rates(self):
        self.assertEqual(render.lines_of(FIGURES), {8192: [(0.0, 0.8), (0.5, 0.9)]})
        self.assertIn("<polyline", render.plot_svg(FIGURES))

    def test_captured_sets_have_a_table_of_their_own(self):
        captured = [row("cuDNN", "dense", 0.0, 2.0, 300.0),
                    row("SeerServe", "mean_pool", 0.9, 0.5, 150.0)]
        text = render.report(dict(FIGURES, captured=captured), "plot.svg")
        self.assertIn("| 8k 90% mean_pool | 0.500 | 150 | 0.50 | 4.00 |", text)
        self.assertNotIn("mean_pool |", render.report(FIGURES, "plot.svg"))

    def test_a_missing_peer_is_an_error(self):
        figures = dict(FIGURES, prefill=FIGURES["prefill"][1:])
        with self.assertRaises(KeyError):
            render.report(figures, "plot.svg")


if __name__ == "__main__":
    unittest.main()
