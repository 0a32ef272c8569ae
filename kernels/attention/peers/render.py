"""Makes a report and a plot of the figures that `compare.py measure` wrote.

  render.py FIGURES.json REPORT.md PLOT.svg
"""

import json
import os
import sys

_COLOURS = ("#1b6ca8", "#d1495b", "#3a7d44", "#8d5a97")


def table(header, rows):
    """A Markdown table: the first column left, the others right."""
    lines = [header, ["---"] + ["--:"] * (len(header) - 1)] + rows
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def peer_of(rows, row, name="cuDNN"):
    """The dense peer's row of the same shape."""
    for other in rows:
        if other["what"] == name and all(
            other[key] == row[key] for key in ("head_dim", "length")):
            return other
    raise KeyError(f"{name} was not measured beside {row}")


def prefill_table(measured):
    rows = []
    for row in measured:
        peer = peer_of(measured, row)
        name = row["what"]
        if name == "SeerServe":
            name = row["mask"]
            if row["sparsity"]:
                name = f"{row['sparsity']:.0%} {name}"
        rows.append([
            f"{row['length'] // 1024}k {name}",
            f"{row['milliseconds']:.3f}",
            f"{row['tflops']:.0f}",
            f"{row['tflops'] / peer['tflops']:.2f}",
            f"{peer['milliseconds'] / row['milliseconds']:.2f}",
        ])
    return table(
        ["prompt, blocks read", "ms", "TFLOP/s", "rate / cuDNN's", "speed / cuDNN's"],
        rows)


def chunk_table(figures):
    return table(["last chunk", "ms"], [
        [f"{row['rows']} of {row['length'] // 1024}k", f"{row['milliseconds']:.3f}"]
        for row in figures["chunks"]])


def decode_table(figures):
    roof = figures["copy_gb_a_second"]
    return table(["D, batch x context", "us", "GB/s read", "of the copy rate"], [
        [f"{row['head_dim']}, {row['batch']} x {row['length']}",
         f"{row['microseconds']:.1f}", f"{row['gb_a_second']:.0f}",
         f"{row['gb_a_second'] / roof:.2f}"]
        for row in figures["decode"]])


def report(figures, plot):
    q_heads, kv_heads = figures["heads"]
    of_dim = lambda dim: prefill_table(
        [row for row in figures["prefill"] if row["head_dim"] == dim])
    captured = ""
    if figures.get("captured"):
        captured = f"""
## Sets of a real text

SmolLM2-135M-Instruct's shape (9 query heads, 3 KV heads, D 64) and the sets that
mean_pool chose for a novel, one sink block and two dense tiles: means over the
layers.

{prefill_table(figures["captured"])}
"""
    return f"""# Attention on the GPU

Commit {figures['commit']}; {figures['device']}; {figures['software']}.
`kernels/attention/peers/compare.py measure`, then `render.py`. bfloat16,
{q_heads} query heads, {kv_heads} KV heads, one prompt, pages in random order, medians of device
times; every case was checked against float64 attention first. Rates are of the
(row, visible key) pairs inside the blocks read. The peers are PyTorch's, dense
and causal, in the same process on the same values, contiguous instead of paged.

![rates by sparsity]({plot})

## Prefill, D 128

{of_dim(128)}

## Prefill, D 64

{of_dim(64)}
{captured}
## A prompt's last chunk

D 128, 90 % random and two dense tiles.

{chunk_table(figures)}

## Decode

Bytes of the keys and values read, against {figures['copy_gb_a_second']:.0f} GB/s of a copy in
device memory (bytes read and written).

{decode_table(figures)}
"""


def lines_of(figures, head_dim=128):
    """{length: [(sparsity, rate / cuDNN's)]} of dense and random masks."""
    lines = {}
    for row in figures["prefill"]:
        if (row["head_dim"] == head_dim and row["what"] == "SeerServe"
                and row["mask"] in ("dense", "random")):
            rate = row["tflops"] / peer_of(figures["prefill"], row)["tflops"]
            lines.setdefault(row["length"], []).append((row["sparsity"], rate))
    return lines


def plot_svg(figures):
    left, top, width, height = 60, 30, 480, 260
    x = lambda sparsity: left + sparsity * width
    y = lambda rate: top + height - rate / 1.2 * height
    text = lambda px, py, what, anchor="middle": (
        f'<text x="{px:.0f}" y="{py:.0f}" text-anchor="{anchor}">{what}</text>')
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 100}" '
        f'height="{top + height + 50}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        text(left + width / 2, top + height + 40, "sparsity"),
        text(left, 18, "active rate / cuDNN's dense causal rate, D 128", "start"),
    ]
    for tenth in range(0, 13, 2):
        rate = tenth / 10
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y(rate):.0f}" '
                     f'y2="{y(rate):.0f}" stroke="#ddd"/>')
        parts.append(text(left - 8, y(rate) + 4, f"{rate:.1f}", "end"))
    for tenth in range(0, 11, 2):
        parts.append(text(x(tenth / 10), top + height + 18, f"{tenth * 10} %"))
    for colour, (length, points) in zip(_COLOURS, sorted(lines_of(figures).items())):
        path = " ".join(f"{x(s):.1f},{y(r):.1f}" for s, r in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                     'stroke-width="2"/>')
        last = points[-1]
        parts.append(text(x(last[0]) + 8, y(last[1]) + 4, f"{length // 1024}k", "start"))
    return "\n".join(parts + ["</svg>"]) + "\n"


def main(figures_path, report_path, plot_path):
    with open(figures_path, encoding="utf-8") as file:
        figures = json.load(file)
    with open(report_path, "w", encoding="utf-8") as file:
        file.write(report(figures, os.path.basename(plot_path)))
    with open(plot_path, "w", encoding="utf-8") as file:
        file.write(plot_svg(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
