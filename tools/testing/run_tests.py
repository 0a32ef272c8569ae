"""Runs the lint and the tests, and counts them; see tools/test.

  run_tests.py                            everything; of the tests that the
                                          sanitizers can run, a share
  run_tests.py --changed-since REVISION   the lint, and tests of what changed
  run_tests.py --sanitizers               all that the sanitizers can run
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

import bazel_results
import shares

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))

_BAZEL_FLAGS = [
    "--keep_going",
    "--noshow_progress",
]

# Each a name and a command that fails where something is wrong.
_LINT = [
    ("layers of #includes", ["tools/lint/check_layers.py"]),
    ("layers of targets", ["tools/lint/check_dependencies.py"]),
    ("format", ["tools/lint/check_format.py"]),
    ("shell scripts", ["tools/lint/check_shell"]),
    ("files that documents name", ["tools/lint/check_docs.py"]),
    (
        "lock annotations",
        ["bazel", "build", "--config=thread_safety", "--keep_going"]
        + ["--noshow_progress", "//..."],
    ),
]

# What runs once more under the sanitizers: the rooms that handle memory and
# threads themselves, but for what links LibTorch, which is not built for them.
_SANITIZED = (
    "tests(//base/... + //kernels/... + //engine/... + //server/...)"
    " except rdeps(//..., @libtorch//...) except attr(tags, '\\bcuda\\b', //...)"
)


# Compiling all that again takes as long as all the rest of a cold run does.
_NUM_SHARES = 3


def run_step(name, command):
    """The tally, 1 passed or 1 failed, of a command."""
    print(f"== {name}", flush=True)
    start = time.monotonic()
    code = subprocess.run(command, cwd=_ROOT).returncode
    outcome = "passed" if code == 0 else "FAILED"
    print(f"== {name}: {outcome}, {time.monotonic() - start:.0f} s", flush=True)
    if code == 0:
        return bazel_results.Tally(passed=1)
    return bazel_results.Tally(failures=[name])


def run_bazel_tests(name, flags, targets):
    """The tally of a `bazel test` of some targets."""
    print(f"== {name}", flush=True)
    start = time.monotonic()
    with tempfile.NamedTemporaryFile("r", suffix=".json") as events:
        code = subprocess.run(
            ["bazel", "test", *_BAZEL_FLAGS, *flags]
            + [f"--build_event_json_file={events.name}", "--", *targets],
            cwd=_ROOT,
        ).returncode
        tally = bazel_results.count_events(events)
    if code != 0 and not tally.failures:
        tally.failures.append(f"bazel test exited with {code}")
    tally.failures = [f"{name}: {line}" for line in tally.failures]
    tally.skips = [f"{name}: {line}" for line in tally.skips]
    print(f"== {name}: {tally.line()}, {time.monotonic() - start:.0f} s", flush=True)
    return tally


def query(expression):
    """The labels that a bazel query gives."""
    return subprocess.run(
        ["bazel", "query", "--noshow_progress", "--keep_going", expression],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split()


def tests_of_change(revision):
    """The tests that depend on a file that differs from `revision`."""
    changed = subprocess.run(
        f"git diff --name-only {revision} && "
        "git ls-files --others --exclude-standard",
        cwd=_ROOT,
        shell=True,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.splitlines()
    if any(f == "WORKSPACE" or f == ".bazelrc" for f in changed):
        return ["//..."]
    files = [f for f in changed if os.path.exists(os.path.join(_ROOT, f))]
    if not files:
        return []
    return query(f"tests(rdeps(//..., set({' '.join(files)})))")


def run_everything():
    tally = bazel_results.Tally()
    for name, command in _LINT:
        tally.add(run_step(name, command))
    tally.add(run_bazel_tests("tests", [], ["//..."]))
    # Compiles the GPU backend; of its tests, runs those that need no GPU.
    flags = ["--config=cuda", "--test_tag_filters=cuda"]
    tally.add(
        run_bazel_tests("cuda", flags, ["//kernels/...", "//engine/...", "//server/..."])
    )
    tally.add(run_sanitizers(_NUM_SHARES))
    return tally


def run_sanitizers(num_shares):
    """The tally of this commit's share, of so many, under address and undefined-
    behaviour sanitizers, and of all under the thread sanitizer, which are few."""
    tally = bazel_results.Tally()
    plain = query(_SANITIZED)
    number = shares.number_of_commit(_ROOT) % num_shares
    share = shares.share_of(plain, number, num_shares)
    if not share:
        tally.failures.append("sanitizers: found no test to run")
        return tally
    tally.add(
        run_bazel_tests(
            f"asan, ubsan, share {number + 1} of {num_shares}",
            ["--config=asan_ubsan", "--build_tests_only"]
            + ["--test_tag_filters=-no_sanitizer"],
            share,
        )
    )
    flags = ["--config=tsan", "--build_tests_only"]
    tally.add(run_bazel_tests("tsan", flags, plain))
    return tally


def run_change(revision):
    tally = bazel_results.Tally()
    for name, command in _LINT:
        tally.add(run_step(name, command))
    targets = tests_of_change(revision)
    if targets:
        tally.add(run_bazel_tests("tests of the change", [], targets))
    return tally


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--changed-since", metavar="REVISION")
    what.add_argument("--sanitizers", action="store_true")
    arguments = parser.parse_args()
    if arguments.changed_since:
        tally = run_change(arguments.changed_since)
    elif arguments.sanitizers:
        tally = run_sanitizers(num_shares=1)
    else:
        tally = run_everything()
    for line in tally.skips:
        print("skipped:", line)
    for line in tally.failures:
        print("failed:", line)
    print(tally.line(), flush=True)
    return 1 if tally.failures or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
