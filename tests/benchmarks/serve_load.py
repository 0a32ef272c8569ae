"""Loads a server with real streams, and says whether it bore it.

  serve_load.py --bundle=FOLDER --model=FOLDER [--streams=64] [--minutes=5]
      [--long_tokens=32768] [--json=FILE] -- [FLAG OF SEERSERVE...]

Starts the server of a bundle (tools/package) on loopback and drives it with
seerctl:

1. prompts of --long_tokens with different budgets, alone and then all at once:
   at once they may take no longer than the sum of their times alone / 0.9;
2. --streams clients for --minutes, each asking again and again, with mixed
   budgets, lengths and samplings: every one must succeed, pages must all be
   free in the end, and memory must not grow after the first minute;
3. of the steps with prompt rows, which are cut to the step's time, 95 % must
   have taken no longer than a fifth over it (its default for a GPU, 50 ms).

Fails where one of these does not hold. The text is scored now and then too.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

BUDGETS = [
    ["--dense"],
    ["--target_sparsity=0.5", "--gate=mean_pool"],
    ["--target_sparsity=0.8", "--gate=mean_pool"],
    ["--target_sparsity=0.9", "--gate=mean_pool"],
    ["--top_k_blocks=32", "--gate=mean_pool"],
    ["--token_budget=8192", "--gate=mean_pool"],
    ["--threshold=0.004", "--gate=mean_pool"],
    ["--target_sparsity=0.7", "--gate=mean_pool", "--sink_blocks=4"],
]
WORDS = ("the of and to in was her she had it with for that you not be his as he "
         "at have but all my mr so is on by which could what an from would no "
         "been if when are any were very them must said their who do will more "
         "me every there one mrs than this such other being much how letter "
         "friend sister house room evening walk answer hope mind moment").split()


def write_report(report, path):
    """Prints what was measured, and writes it to `path` too if that is given."""
    text = json.dumps(report, indent=1)
    print(text)
    if path:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


class Server:
    def __init__(self, bundle, model, flags, folder):
        self.bundle, self.folder = bundle, folder
        self.log = open(os.path.join(folder, "server.log"), "w")
        ports = [os.path.join(folder, name) for name in ("port", "http_port")]
        self.process = subprocess.Popen(
            [bundle + "/run", "seerserve", "--model=" + model, "--port=0",
             "--http_port=0", "--port_file=" + ports[0],
             "--http_port_file=" + ports[1], *flags], stderr=self.log)
        self.port, self.http_port = map(self._wait_for, ports)

    def _wait_for(self, path):
        while not (os.path.exists(path) and open(path).read().strip()):
            if self.process.poll() is not None:
                sys.exit("the server ended: " + open(self.log.name).read()[-2000:])
            time.sleep(0.2)
        return int(open(path).read())

    def metrics(self):
        """{series: value}."""
        url = f"http://127.0.0.1:{self.http_port}/metrics"
        with urllib.request.urlopen(url, timeout=30) as reply:
            text = reply.read().decode()
        rows = (line.rsplit(" ", 1) for line in text.splitlines()
                if line and line[0] != "#")
        return {series: float(value) for series, value in rows}

    def call(self, command, arguments):
        """(exit code, seerctl's JSON)."""
        result = subprocess.run(
            [self.bundle + "/run", "seerctl", command, "--json", "--quiet",
             f"--server=127.0.0.1:{self.port}", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            return result.returncode, json.loads(result.stdout)
        except ValueError:
            return result.returncode or 1, {"stderr": result.stderr}

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=120)


def write_text(folder, name, num_words, seed):
    path = os.path.join(folder, name)
    words = random.Random(seed)
    with open(path, "w") as file:
        file.write(" ".join(words.choice(WORDS) for _ in range(num_words)))
    return path


def gpu_memory_mib():
    """Memory in use on the first GPU; None without one."""
    try:
        text = subprocess.check_output(
            ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
            text=True)
        return int(text.split()[0])
    except (OSError, subprocess.CalledProcessError):
        return None


def server_memory_mib(server):
    with open(f"/proc/{server.process.pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) // 1024


def in_threads(calls):
    """The results of calls made at the same time."""
    results = [None] * len(calls)

    def run(i):
        results[i] = calls[i]()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def long_prompts(server, folder, num_tokens):
    """Seconds of each budget alone, and of all at once."""
    calls = []
    for i, budget in enumerate(BUDGETS):
        path = write_text(folder, f"long{i}", num_tokens, i)
        arguments = ["--prompt_file=" + path, "--max_tokens=1", "--temperature=0"]
        calls.append(lambda arguments=arguments + budget:
                     server.call("complete", arguments))
    calls[0]()  # the first prompt teaches the scheduler what steps cost
    alone, tokens = [], 0
    for call in calls:
        begin = time.monotonic()
        code, reply = call()
        alone.append(time.monotonic() - begin)
        if code != 0:
            sys.exit(f"a long prompt failed: {reply}")
        tokens = max(tokens, reply["usage"]["prompt_tokens"])
    begin = time.monotonic()
    codes = [code for code, _ in in_threads(calls)]
    at_once = time.monotonic() - begin
    return {"tokens": tokens, "alone_seconds": alone, "at_once_seconds": at_once,
            "ratio": sum(alone) / at_once, "failed": sum(c != 0 for c in codes)}


def streams(server, folder, num_streams, minutes):
    """What came of the load."""
    end = time.monotonic() + 60 * minutes
    paths = [write_text(folder, f"short{n}", n, n)
             for n in (20, 100, 400, 1500, 4000)]
    failures, samples = [], []

    def client(seed):
        choose = random.Random(seed)
        done = 0
        while time.monotonic() < end:
            path = "--prompt_file=" + choose.choice(paths)
            budget = choose.choice(BUDGETS)
            if choose.random() < 0.02:
                code, reply = server.call("score", [path, *budget])
            else:
                code, reply = server.call("complete", [
                    path, f"--max_tokens={choose.choice((1, 32, 128, 256))}",
                    f"--temperature={choose.choice((0, 0.7))}", "--ignore_eos",
                    *budget])
            done += 1
            if code != 0:
                failures.append(reply)
        return done

    def watch():
        while time.monotonic() < end:
            samples.append({"left_seconds": end - time.monotonic(),
                            "gpu_mib": gpu_memory_mib(),
                            "server_mib": server_memory_mib(server)})
            time.sleep(5)

    watcher = threading.Thread(target=watch)
    watcher.start()
    done = in_threads([lambda i=i: client(i) for i in range(num_streams)])
    watcher.join()
    early = [s for s in samples if s["left_seconds"] > 60 * (minutes - 1)]
    return {"requests": sum(done), "failures": failures[:3],
            "num_failures": len(failures),
            "after_a_minute": (early or samples)[-1 if early else 0],
            "at_the_end": samples[-1]}


def share_up_to(metrics, name, kinds, edge):
    """Of the observations of a histogram of steps, those up to an edge."""
    def total(suffix, also=""):
        return sum(v for s, v in metrics.items()
                   if s.startswith(name + suffix) and also in s
                   and any(f'kind="{kind}"' in s for kind in kinds))
    count = total("_count")
    return total("_bucket", f'le="{edge}"') / count if count else None


def step_report(metrics, kinds):
    """How steps kept to the predicted time, and to the default 50 ms."""
    return {
        "within_20_percent": share_up_to(
            metrics, "seer_step_prediction_error_ratio", kinds, "0.2"),
        "up_to_60_ms": share_up_to(
            metrics, "seer_step_duration_seconds", kinds, "0.06"),
    }


def drive(server, folder, arguments):
    report = {"long": long_prompts(server, folder, arguments.long_tokens),
              "streams": streams(server, folder, arguments.streams,
                                 arguments.minutes)}
    time.sleep(1)
    metrics = server.metrics()
    report["steps"] = {
        "prefill": step_report(metrics, ["prefill"]),
        "decode": step_report(metrics, ["decode"]),
        "mixed": step_report(metrics, ["mixed"]),
        "with_prompts": step_report(metrics, ["prefill", "mixed"]),
    }
    report["pages_used"] = sum(
        v for s, v in metrics.items()
        if s.startswith("seer_kv_pages") and 'state="used"' in s)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--long_tokens", type=int, default=32768)
    parser.add_argument("--json")
    parser.add_argument("flags", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(arguments.bundle, arguments.model, arguments.flags, folder)
        try:
            report = drive(server, folder, arguments)
        finally:
            exit_code = server.stop()
        report["exit_code"] = exit_code
    write_report(report, arguments.json)
    load = report["streams"]
    grown = max((load["at_the_end"][key] or 0) - (load["after_a_minute"][key] or 0)
                for key in ("gpu_mib", "server_mib"))
    bad = {
        "long prompts failed": report["long"]["failed"] > 0,
        "long prompts at once take too long": report["long"]["ratio"] < 0.9,
        "streams failed": load["num_failures"] > 0,
        "steps do not keep to their time":
            (report["steps"]["with_prompts"]["up_to_60_ms"] or 0) < 0.95,
        "pages are not free": report["pages_used"] != 0,
        "memory grew": grown > 64,
        "the server did not end well": report["exit_code"] != 0,
    }
    for what in (name for name, holds in bad.items() if holds):
        print("FAILED:", what)
    return 1 if any(bad.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
