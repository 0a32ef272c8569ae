"""Checks the resources of CUDA kernels in what `ptxas -v` printed.

  check_ptxas.py [--kernel=PART_OF_NAME:MAX_REGISTERS]... REPORT...

Fails where a kernel spills registers or has a stack, uses more registers than
it may, or where ptxas says that it gave performance away.
"""

import argparse
import re
import sys

_ENTRY = re.compile(r"Compiling entry function '(\w+)'")
_STACK = re.compile(
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
)
_REGISTERS = re.compile(r"Used (\d+) registers")


class Kernel:
    """What a report says of one kernel."""

    def __init__(self, name):
        self.name = name
        self.stack = None  # bytes of (stack, spill stores, spill loads)
        self.registers = None


def parse(text):
    """(kernels, lines in which ptxas complains) of a report."""
    kernels, complaints = [], []
    for line in text.splitlines():
        if "Potential Performance Loss" in line:
            complaints.append(line)
        match = _ENTRY.search(line)
        if match:
            kernels.append(Kernel(match.group(1)))
        match = _STACK.search(line)
        if match and kernels:
            kernels[-1].stack = tuple(map(int, match.groups()))
        match = _REGISTERS.search(line)
        if match and kernels:
            kernels[-1].registers = int(match.group(1))
    return kernels, complaints


def problems(text, limits):
    """What is wrong in a report, a line each.

    Args:
      text: what ptxas printed.
      limits: pairs of (part of a kernel's name, most registers).
    """
    kernels, found = parse(text)
    for kernel in kernels:
        if kernel.stack is None or kernel.registers is None:
            found.append(f"{kernel.name}: the report is not complete")
        elif any(kernel.stack):
            found.append("%s: %d bytes of stack, %d + %d spilled" % (
                (kernel.name,) + kernel.stack))
    for part, most in limits:
        matching = [k for k in kernels if part in k.name]
        if len(matching) != 1:
            found.append(f"{part}: in the names of {len(matching)} kernels")
        elif matching[0].registers is not None and matching[0].registers > most:
            found.append(f"{part}: {matching[0].registers} registers, may use {most}")
    if not kernels:
        found.append("no kernel in the reports")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", action="append", default=[])
    parser.add_argument("reports", nargs="+")
    arguments = parser.parse_args()
    limits = [(k.rpartition(":")[0], int(k.rpartition(":")[2]))
              for k in arguments.kernel]
    texts = []
    for report in arguments.reports:
        with open(report, encoding="utf-8") as file:
            texts.append(file.read())
    found = problems("\n".join(texts), limits)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
