"""Times Hugging Face transformers' prefill of a Llama with random weights.

  transformers_prefill.py --model=FOLDER [--lengths=N,...] [--json=FILE]

What a model server would call: bfloat16, PyTorch's SDPA, a KV cache, logits of
the last token alone, one prompt. Medians of wall time between two
synchronizations, after one call that is not timed. Needs a GPU.
"""

import argparse
import json
import sys
import time

import torch
import transformers


def make_model(path):
    config = transformers.AutoConfig.from_pretrained(path)
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = transformers.AutoModelForCausalLM.from_config(
            config, dtype=torch.bfloat16, attn_implementation="sdpa")
    return model.eval()


def prefill_seconds(model, length, repetitions):
    ids = torch.randint(0, model.config.vocab_size, (1, length), device="cuda")
    seconds = []
    for _ in range(repetitions + 1):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        result = model(ids, use_cache=True, logits_to_keep=1)
        token = result.logits[0, -1].argmax().item()
        seconds.append(time.perf_counter() - begin)
        if not 0 <= token < model.config.vocab_size:
            sys.exit("no token came of it")
        del result
    return sorted(seconds[1:])[repetitions // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="has a config.json")
    parser.add_argument("--lengths", default="8192,32768,131072")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    rows = []
    with torch.inference_mode():
        model = make_model(arguments.model)
        for length in map(int, arguments.lengths.split(",")):
            seconds = prefill_seconds(model, length, arguments.repetitions)
            rows.append({"what": f"transformers {transformers.__version__}",
                         "length": length, "milliseconds": seconds * 1e3})
            print(f"{length} tokens: {seconds * 1e3:.1f} ms", flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
