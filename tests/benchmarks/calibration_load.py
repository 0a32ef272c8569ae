"""What a calibration costs the requests beside it, and what it takes itself.

  calibration_load.py --bundle=FOLDER --model=FOLDER --dataset=FILE
      [--streams=32] [--seconds=20] [--rounds=2] [--share=0.2] [--json=FILE]
      -- [FLAG OF SEERSERVE...]

Starts the server of a bundle (tools/package) on loopback, keeps --streams clients
of seerctl generating, and measures the time between two pieces of text as a client
sees it, in turns without a job and beside one at --share of the device's time.
Every stream must succeed. Then, with no requests, a job's own pace beside dense
prefill of a prompt of the same length.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

from serve_load import Server, write_report, write_text

_SEQUENCE = 8192


class Admin:
    def __init__(self, bundle, port):
        self._command = [bundle + "/run", "seerctl"]
        self._server = f"--server=127.0.0.1:{port}"

    def call(self, command, *arguments):
        result = subprocess.run(
            [*self._command, *command.split(), "--json", "--quiet", self._server,
             *arguments], stdout=subprocess.PIPE, text=True)
        if result.returncode != 0:
            sys.exit(f"{command} failed: {result.stdout}")
        return json.loads(result.stdout)


def stream(server, path, seed, end, gaps, failures):
    """Asks again and again; notes when each piece of text came."""
    choose = random.Random(seed)
    while time.monotonic() < end:
        process = subprocess.Popen(
            [server.bundle + "/run", "seerctl", "complete", "--quiet",
             f"--server=127.0.0.1:{server.port}", "--prompt_file=" + path,
             f"--max_tokens={choose.choice((256, 512))}", "--ignore_eos", "--dense",
             "--temperature=0.7", f"--seed={choose.randrange(1 << 30)}"],
            stdout=subprocess.PIPE)
        last = None
        while os.read(process.stdout.fileno(), 65536):
            now = time.monotonic()
            if last is not None and now < end:
                gaps.append(now - last)
            last = now
        if process.wait() != 0:
            failures.append(process.returncode)


def load(server, path, num_streams, seconds, seed):
    gaps, failures = [], []
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=stream, args=(
        server, path, seed + i, end, gaps, failures)) for i in range(num_streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gaps.sort()
    return {"gaps": len(gaps), "failed": len(failures),
            **{f"p{percent}_ms": gaps[percent * (len(gaps) - 1) // 100] * 1000
               for percent in (50, 90, 99)}}


def turns(server, admin, job, path, arguments):
    """The load in turns without the job, which is paused, and beside it."""
    report = []
    for turn in range(2 * arguments.rounds):
        beside = turn % 2 == 1
        if beside:
            admin.call("jobs resume", job)
            time.sleep(6)  # until it has tokenized its text again
            before = admin.call("jobs get", job)["progress"]
        measured = load(server, path, arguments.streams, arguments.seconds,
                        1000 * turn)
        if beside:
            after = admin.call("jobs get", job)["progress"]
            measured["steps_of_the_job"] = after["step"] - before["step"]
            admin.call("jobs pause", job)
        report.append({"beside": beside, **measured})
    return report


def prefill(server, path):
    """(tokens, seconds) of a prompt that is read densely, a few times."""
    times = []
    for _ in range(5):
        code, reply = server.call("complete", [
            "--prompt_file=" + path, "--max_tokens=1", "--dense"])
        if code:
            sys.exit(str(reply))
        times.append((reply["usage"]["prompt_tokens"],
                      reply["timings"]["prefill_seconds"]))
    return times


def drive(server, admin, folder, arguments):
    report = {"prefill": prefill(server, write_text(folder, "long", 6200, 2))}
    job = admin.call(
        "calibrate", arguments.dataset, "--detach", "--steps=100000",
        f"--tokens_per_step={2 * _SEQUENCE}", f"--sequence_length={_SEQUENCE}",
        f"--device_share={arguments.share}")["name"]
    time.sleep(20)
    report["alone"] = admin.call("jobs get", job)["progress"]["tokens_per_second"]
    admin.call("jobs pause", job)
    path = write_text(folder, "prompt", 300, 1)
    report["turns"] = turns(server, admin, job, path, arguments)
    admin.call("jobs cancel", job)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--json")
    parser.add_argument("flags", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        admin_port = os.path.join(folder, "admin_port")
        server = Server(arguments.bundle, arguments.model, [
            "--state_dir=" + os.path.join(folder, "state"), "--admin_port=0",
            "--admin_port_file=" + admin_port, *arguments.flags], folder)
        try:
            with open(admin_port, encoding="utf-8") as file:
                admin = Admin(arguments.bundle, file.read().strip())
            report = drive(server, admin, folder, arguments)
        finally:
            exit_code = server.stop()
        report["exit_code"] = exit_code
    write_report(report, arguments.json)
    failed = sum(turn["failed"] for turn in report["turns"])
    return 1 if failed or exit_code else 0


if __name__ == "__main__":
    sys.exit(main())
