#!/usr/bin/env python3
"""Serves a model and asks about a chapter, dense and sparse; see tools/quickstart."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
_SERVER = os.path.join(_ROOT, "bazel-bin/server/seerserve")
_SEERCTL = os.path.join(_ROOT, "bazel-bin/client/seerctl")
_WORK = os.path.join(_ROOT, ".cache/quickstart")
_GATE_SET = os.path.join(
    _ROOT, "tools/models/gates/smollm2-135m-instruct/gate_set.safetensors")

# Of requests that name no policy: on novels, proofs, code and manuals it costs at
# most 0.3 % of perplexity (docs/benchmarks/quality.md). More is for who asks for it.
_DEFAULT_SPARSITY = 0.5

_CHAPTER = "Chapter 43"  # about 6,700 tokens
_QUESTION = (
    "That was a chapter of a novel. What does the housekeeper of Pemberley"
    " say about Mr. Darcy? Answer in two sentences."
)
_POLICIES = [
    ("dense", ["--dense"]),
    ("50 % sparse", ["--target_sparsity=0.5"]),
    ("80 % sparse", ["--target_sparsity=0.8"]),
]


def _read_line(path):
    with open(path) as file:
        return file.read().strip()


class Server:
    """A seerserve process; ends with the `with` block."""

    def __init__(self, model, port):
        os.makedirs(_WORK, exist_ok=True)
        # Another one may run in this checkout, on another port.
        name = str(port or f"pid{os.getpid()}")
        self._port_file = os.path.join(_WORK, f"port-{name}")
        self._http_port_file = os.path.join(_WORK, f"http_port-{name}")
        self._admin_port_file = os.path.join(_WORK, f"admin_port-{name}")
        # What is uploaded and calibrated here is there the next time, if the
        # port is the same.
        self._state = os.path.join(_WORK, f"state-{name}")
        self._keeps_state = port != 0
        if os.path.exists(self._port_file):
            os.remove(self._port_file)
        self.log_path = os.path.join(_WORK, f"server-{name}.log")
        with open(self.log_path, "w") as log:
            # In a session of its own: a Ctrl-C on the terminal is ours to pass on.
            self._process = subprocess.Popen(
                [
                    _SERVER,
                    f"--model={model}",
                    f"--gate_set={_GATE_SET}",
                    f"--default_target_sparsity={_DEFAULT_SPARSITY}",
                    f"--state_dir={self._state}",
                    f"--admin_port={port + 2 if port else 0}",
                    f"--admin_port_file={self._admin_port_file}",
                    f"--port={port}",
                    f"--http_port={port + 1 if port else 0}",
                    f"--port_file={self._port_file}",
                    f"--http_port_file={self._http_port_file}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        # From here on an impatient Ctrl-C must not leave the server behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if self._process.poll() is None:
            print("stopping; running requests have 30 s to end", file=sys.stderr)
        self._process.terminate()
        try:
            self._process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if not self._keeps_state:
            shutil.rmtree(self._state, ignore_errors=True)

    def wait_until_ready(self):
        """Its address, once it accepts requests. Exits where it ends instead."""
        while self._process.poll() is None:
            try:
                self._process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                pass
            if not os.path.exists(self._port_file):
                continue
            address = f"127.0.0.1:{_read_line(self._port_file)}"
            status = [_SEERCTL, "status", "--wait=1s", f"--server={address}"]
            if subprocess.run(status, capture_output=True).returncode == 0:
                return address
        with open(self.log_path) as log:
            sys.exit(f"the server ended; its log, {self.log_path}, says:\n{log.read()}")

    def metrics_url(self):
        """Once it is ready."""
        return f"http://127.0.0.1:{_read_line(self._http_port_file)}/metrics"

    def admin_address(self):
        """Likewise."""
        return f"127.0.0.1:{_read_line(self._admin_port_file)}"

    def wait(self):
        return self._process.wait()


def read_chapter(path, heading):
    """The text from a heading to the next."""
    with open(path) as file:
        lines = file.read().split("\n")
    kind = heading.split()[0] + " "
    begin = lines.index(heading)
    end = begin + 1
    while end < len(lines) and not lines[end].startswith(kind):
        end += 1
    return "\n".join(lines[begin:end]).strip() + "\n"


def _seerctl(command, address, *arguments):
    """The JSON that a command of seerctl prints."""
    result = subprocess.run(
        [_SEERCTL, command, f"--server={address}", "--json", *arguments],
        stdout=subprocess.PIPE,
    )
    if result.returncode != 0:
        sys.exit(result.returncode)
    return json.loads(result.stdout)


def complete(address, chapter_path, flags):
    """seerctl's JSON of one completion."""
    # A small model repeats itself without the penalty.
    return _seerctl(
        "complete", address, "--chat", f"--prompt_file={chapter_path}",
        "--max_tokens=64", "--temperature=0", "--frequency_penalty=0.5", *flags,
        _QUESTION,
    )


def perplexity(address, chapter_path, flags):
    """Of the chapter by itself."""
    score = _seerctl("score", address, f"--prompt_file={chapter_path}", *flags)
    return score["perplexity"]


def print_table(rows):
    """(policy, result, perplexity) as a table, texts wrapped; dense comes first."""
    print(f"{'policy':<12} {'TTFT':>8} {'realized':>9} {'perplexity':>18}  text")
    print(f"{'':<12} {'':>8} {'sparsity':>9} {'against dense':>18}")
    dense = rows[0][2]
    for policy, result, quality in rows:
        ttft = result["timings"]["time_to_first_token_seconds"]
        realized = result["sparsity"]["realized_sparsity"]
        text = result["choices"][0]["text"].replace("\n", " ").strip()
        lines = textwrap.wrap(text, width=60) or [""]
        change = f"({100 * (quality / dense - 1):+.2f} %)"
        print(f"{policy:<12} {ttft:>6.2f} s {realized:>9.3f} {quality:>7.2f}"
              f" {change:>10}  {lines[0]}")
        for line in lines[1:]:
            print(" " * 52 + line)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--novel", required=True)
    parser.add_argument("--port", type=int, default=8470)
    parser.add_argument("--once", action="store_true")
    args = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, frame: sys.exit(128 + received))

    with Server(args.model, args.port) as server:
        address = server.wait_until_ready()
        print(f"serving on {address}, metrics on {server.metrics_url()},"
              f" log in {os.path.relpath(server.log_path)}", file=sys.stderr)
        chapter = read_chapter(args.novel, _CHAPTER)
        chapter_path = os.path.join(_WORK, "chapter.txt")
        with open(chapter_path, "w") as file:
            file.write(chapter)
        rows = []
        for policy, flags in _POLICIES:
            print(f"-- {policy}", file=sys.stderr)
            rows.append((policy, complete(address, chapter_path, flags),
                         perplexity(address, chapter_path, flags)))
        usage = rows[0][1]["usage"]
        print(f"\n{_CHAPTER} and a question, {usage['prompt_tokens']} tokens:\n")
        print_table(rows)
        if args.once:
            return
        print(f"\nStill serving on {address}, until Ctrl-C. Try, from another"
              f" terminal:\n  bazel-bin/client/seerctl chat --server={address}\n"
              "or train a gate on a text of your own, some minutes for a try:\n"
              f"  bazel-bin/client/seerctl calibrate"
              f" --server={server.admin_address()} --steps=20"
              " --sequence_length=1024 --tokens_per_step=4096 FILE",
              flush=True)
        sys.exit(f"the server ended with code {server.wait()}")


if __name__ == "__main__":
    main()
