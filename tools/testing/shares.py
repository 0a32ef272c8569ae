"""A share of many tests, another one for each commit."""

import subprocess


def share_of(targets, number, count):
    """Of `targets`, those in every count-th package, from the one of this number.

    The shares of the numbers 0 to count - 1 are all targets, each once.
    """
    packages = sorted({target.partition(":")[0] for target in targets})
    chosen = set(packages[number % count :: count])
    return [t for t in targets if t.partition(":")[0] in chosen]


def number_of_commit(folder):
    """A number that the commit checked out in `folder` gives; without one, 0."""
    result = subprocess.run(
        ["git", "-C", folder, "rev-parse", "HEAD"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return int(result.stdout[:8], 16) if result.returncode == 0 else 0
