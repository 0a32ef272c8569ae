"""Attention on the GPU against PyTorch's, in one process on the same values.

  compare.py --library=libattention_step.so [--lengths=L,...] check
  compare.py --library=libattention_step.so --json=FILE [--commit=ID]
      [--sets=FILE] measure

`check` holds rows of many shapes against float64 attention. `measure` times
prefill, last chunks and decode, checking each case first, and writes what
render.py makes a report of: medians of device times. `--sets` adds sets that a
gate chose for a real text, as tests/benchmarks/capture_sets writes them. Needs a GPU of compute
capability 9.0 and a PyTorch that knows it.

Rates are of the (row, visible key) pairs inside the blocks read, 4 * D
operations each, for ours and for its dense peers alike.
"""

import argparse
import json
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from attention_step import DEVICE, Step, load_library
from masks import captured_masks, empty_diagonal_mask, random_mask, structured_mask

CHECK_LENGTHS = [1, 63, 64, 65, 127, 129, 4097, 8191, 32768, 131072]
PREFILL_LENGTHS = [8192, 32768, 131072]
Q_HEADS, KV_HEADS = 32, 8
PEERS = (("cuDNN", SDPBackend.CUDNN_ATTENTION),
         ("FlashAttention", SDPBackend.FLASH_ATTENTION))
DECODE = ((1, 4096), (8, 4096), (64, 4096), (64, 1000), (1, 32768), (1, 131072),
          (8, 131072))


def check(library, lengths):
    ok = True
    for dim in (128, 64):
        for length in lengths:
            heads = (8, 2) if length < 40000 else (4, 1)
            step = Step(library, [(length, 0, length)], *heads, dim,
                        seed=length, sharpness=2.0)
            masks = [("dense", None), ("70 %", random_mask(step, 0.7, 2)),
                     ("90 %", random_mask(step, 0.9))]
            if length < 10000:
                masks.append(("no diagonal", empty_diagonal_mask(step)))
            for name, mask in masks:
                step.set_mask(mask)
                ok &= step.check(f"D {dim} S {length} {name}")
        slices = [(700, 0, 700), (9000, 8960, 40), (33, 90, 1), (20, 20, 77),
                  (4096, 2048, 1024), (5, 7000, 3), (70, 64, 6), (1, 0, 1)]
        for q_heads, kv_heads in ((8, 2), (16, 1), (9, 3), (3, 3), (14, 2)):
            step = Step(library, slices, q_heads, kv_heads, dim, seed=5)
            step.set_mask(random_mask(step, 0.6, 2))
            ok &= step.check(f"D {dim} mixed {q_heads}/{kv_heads}")
        step = Step(library, [(100, 131000, 1), (100, 20000, 1)], 8, 2, dim)
        step.set_mask(None)
        ok &= step.check(f"D {dim} long decode")
    for dim, dtype in ((80, torch.bfloat16), (256, torch.bfloat16),
                       (128, torch.float32)):
        step = Step(library, [(300, 0, 300), (20, 90, 2)], 4, 2, dim, dtype=dtype)
        step.set_mask(random_mask(step, 0.5))
        ok &= step.check(f"D {dim} {dtype}")
    return ok


def milliseconds(run, repetitions=10, warmups=3):
    """The median device time of a call."""
    for _ in range(warmups):
        run()
    times = []
    for _ in range(repetitions):
        begin = torch.cuda.Event(enable_timing=True)
        end = torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return sorted(times)[len(times) // 2]


def checked(step, name):
    if not step.check(name):
        sys.exit(f"{name} is wrong: not measured")


def tflops(step, time):
    return step.pairs() * 4 * step.dim / time / 1e9


def prefill_cases(step):
    """(mask's name, sparsity, mask) of a whole prompt, one at a time."""
    yield "dense", 0.0, None
    for sparsity in (0.5, 0.7, 0.8, 0.9):
        yield "random", sparsity, random_mask(step, sparsity)
        yield "structured", sparsity, structured_mask(step, sparsity)
    yield "random, two dense tiles", 0.9, random_mask(step, 0.9, 2)


def measure_peers(step, repetitions):
    """The rows of the dense peers."""
    attention = torch.nn.functional.scaled_dot_product_attention
    q, k, v = step.dense_inputs()
    for name, backend in PEERS:
        with sdpa_kernel(backend):
            time = milliseconds(
                lambda: attention(q, k, v, is_causal=True, enable_gqa=True),
                **repetitions)
        yield {"what": name, "mask": "dense", "sparsity": 0.0,
               "milliseconds": time, "tflops": tflops(step, time)}


def measure_prefill(library, lengths):
    for dim in (128, 64):
        for length in lengths:
            step = Step(library, [(length, 0, length)], Q_HEADS, KV_HEADS, dim)
            repetitions = {"repetitions": 5} if length > 40000 else {}
            shape = {"head_dim": dim, "length": length}
            step.set_mask(None)
            for row in measure_peers(step, repetitions):
                yield {**shape, **row}
            torch.cuda.empty_cache()
            for name, sparsity, mask in prefill_cases(step):
                step.set_mask(mask)
                checked(step, f"D {dim} S {length} {name} {sparsity}")
                time = milliseconds(step.attend, **repetitions)
                yield {**shape, "what": "SeerServe", "mask": name,
                       "sparsity": sparsity, "milliseconds": time,
                       "tflops": tflops(step, time)}
            del step
            torch.cuda.empty_cache()


def measure_chunks(library):
    """A prompt's last chunk, whose last tiles read everything."""
    for length, rows in ((32768, 2048), (131072, 2048), (131072, 512)):
        step = Step(library, [(length, length - rows, rows)], Q_HEADS, KV_HEADS,
                    128)
        step.set_mask(random_mask(step, 0.9, 2))
        checked(step, f"last {rows} of {length}")
        yield {"length": length, "rows": rows,
               "milliseconds": milliseconds(step.attend)}


def copy_rate():
    """GB/s of a copy in device memory, bytes read and written."""
    source = torch.empty(1 << 30, device=DEVICE, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * source.numel() / milliseconds(lambda: target.copy_(source)) / 1e6


def measure_decode(library):
    for dim in (128, 64):
        for batch, length in DECODE:
            step = Step(library, [(100, length - 1, 1)] * batch, Q_HEADS,
                        KV_HEADS, dim)
            step.set_mask(None)
            checked(step, f"D {dim} decode {batch} x {length}")
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                for _ in range(4):
                    step.attend()
            time = milliseconds(graph.replay) / 4
            read = batch * length * 2 * KV_HEADS * dim * 2
            yield {"head_dim": dim, "batch": batch, "length": length,
                   "microseconds": time * 1e3, "gb_a_second": read / time / 1e6}
            del step, graph
            torch.cuda.empty_cache()


def measure_captured(library, path):
    """Sets of a real text: means over the layers of a model."""
    if path is None:
        return
    shape, masks = captured_masks(path)
    length, dim = shape["length"], shape["head_dim"]
    step = Step(library, [(length, 0, length)], shape["heads"],
                shape["kv_heads"], dim)
    step.set_mask(None)
    about = {"length": length, "head_dim": dim}
    for row in measure_peers(step, {}):
        yield {**about, **row}
    checked(step, "a real text's shape, dense")
    time = milliseconds(step.attend)
    yield {**about, "what": "SeerServe", "mask": "dense", "sparsity": 0.0,
           "milliseconds": time, "tflops": tflops(step, time)}
    for sparsity, layers in masks:
        times, rates = [], []
        for layer, mask in enumerate(layers):
            step.set_mask(mask)
            checked(step, f"a real text's sets, {sparsity}, layer {layer}")
            times.append(milliseconds(step.attend))
            rates.append(tflops(step, times[-1]))
        yield {**about, "what": "SeerServe", "mask": "mean_pool",
               "sparsity": sparsity, "milliseconds": sum(times) / len(times),
               "tflops": sum(rates) / len(rates)}


def measure(library, lengths, commit, sets):
    return {
        "commit": commit,
        "device": torch.cuda.get_device_name(),
        "software": f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}, "
                    f"cuDNN {torch.backends.cudnn.version()}",
        "heads": [Q_HEADS, KV_HEADS],
        "copy_gb_a_second": copy_rate(),
        "captured": list(measure_captured(library, sets)),
        "prefill": list(measure_prefill(library, lengths)),
        "chunks": list(measure_chunks(library)),
        "decode": list(measure_decode(library)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", required=True)
    parser.add_argument("--lengths", default="")
    parser.add_argument("--json", help="where `measure` writes its figures")
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--sets", help="of capture_sets")
    parser.add_argument("what", choices=["check", "measure"])
    arguments = parser.parse_args()
    library = load_library(arguments.library)
    torch.manual_seed(0)
    lengths = [int(n) for n in arguments.lengths.split(",") if n]
    if arguments.what == "check":
        return 0 if check(library, lengths or CHECK_LENGTHS) else 1
    figures = measure(library, lengths or PREFILL_LENGTHS, arguments.commit,
                      arguments.sets)
    with open(arguments.json, "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
