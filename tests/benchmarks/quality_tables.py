"""Tables of what `seerctl evaluate --json_file` measured, as Markdown.

  quality_tables.py [--last_quarter] LABEL=FILE:GATE:ALLOCATION...

One row a label and density: how much perplexity each text of FILE has over dense.
GATE is as `--gates` named it; the dense row is the first file's. Several files must
be of the same texts and windows. A density that was missed ends it with an error.
"""

import argparse
import json
import sys


def cells_of(path, gate, allocation):
    with open(path) as file:
        cells = json.load(file)["cells"]
    chosen = [
        cell
        for cell in cells
        if (cell["gate"], cell["allocation"]) in ((gate, allocation), ("", ""))
    ]
    missed = [cell for cell in chosen if cell["density_missed"]]
    if missed:
        sys.exit(f"{path}: {missed[0]['text']}: a density was missed")
    return {(cell["text"], cell["density"]): cell for cell in chosen}


def row(label, density, values):
    return "| " + " | ".join([label, density, *values]) + " |"


def table(rows, last_quarter):
    """`rows`: pairs of a label and cells_of's answer, at least one."""
    dense = {text: cell for (text, density), cell in rows[0][1].items() if density == 1}
    texts = sorted(dense, key=lambda text: (text == "all", text))

    def part(cell):
        return cell["last_quarter"] if last_quarter else cell

    lines = [
        row("gate, allocation", "density", texts),
        "|---|--:|" + "--:|" * len(texts),
        row("dense: perplexity", "1.0", [f"{part(dense[t])['perplexity']:.2f}" for t in texts]),
    ]
    for label, cells in rows:
        for t in texts:
            if cells[t, 1.0]["nll_sum"] != dense[t]["nll_sum"]:
                sys.exit(f"{label}: {t}: other windows, or another model")
        densities = sorted({density for _, density in cells if density < 1}, reverse=True)
        for density in densities:
            values = [f"{100 * part(cells[t, density])['relative_to_dense']:+.2f} %" for t in texts]
            lines.append(row(label, str(density), values))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--last_quarter", action="store_true")
    parser.add_argument("rows", nargs="+")
    arguments = parser.parse_args()
    rows = []
    for spec in arguments.rows:
        label, _, source = spec.rpartition("=")
        path, gate, allocation = source.rsplit(":", 2)
        rows.append((label, cells_of(path, gate, allocation)))
    print(table(rows, arguments.last_quarter))


if __name__ == "__main__":
    main()
