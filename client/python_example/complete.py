#!/usr/bin/env python3
"""Streams a completion from a SeerServe server.

Needs grpcio, and the modules that grpcio-tools makes of proto/seer/v1:

  python3 -m venv venv
  venv/bin/pip install grpcio grpcio-tools
  venv/bin/python -m grpc_tools.protoc -Iproto --python_out=venv \\
      --grpc_python_out=venv seer/v1/completion.proto seer/v1/sparsity.proto
  PYTHONPATH=venv venv/bin/python client/python_example/complete.py \\
      --target_sparsity=0.5 "$(cat .cache/quickstart/chapter.txt)"
"""

import argparse
import sys

import grpc

from seer.v1 import completion_pb2
from seer.v1 import completion_pb2_grpc
from seer.v1 import sparsity_pb2


def make_request(args):
    request = completion_pb2.CompleteRequest(
        text=args.prompt,
        max_tokens=args.max_tokens,
        sampling=completion_pb2.SamplingOptions(temperature=0),
    )
    if args.target_sparsity is not None:
        request.sparsity.target_sparsity = args.target_sparsity
        request.sparsity.builtin = sparsity_pb2.BUILTIN_GATE_MEAN_POOL
    return request


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default="127.0.0.1:8470")
    parser.add_argument("--max_tokens", type=int, default=64)
    parser.add_argument("--target_sparsity", type=float)
    parser.add_argument("prompt")
    args = parser.parse_args()

    with grpc.insecure_channel(args.server) as channel:
        stub = completion_pb2_grpc.CompletionServiceStub(channel)
        try:
            # Leaving this loop early would cancel the request.
            for frame in stub.Complete(make_request(args), timeout=600):
                kind = frame.WhichOneof("frame")
                if kind == "prompt_progress":
                    progress = frame.prompt_progress
                    print(f"prompt: {progress.processed}/{progress.total}",
                          file=sys.stderr)
                elif kind == "delta":
                    print(frame.delta.text, end="", flush=True)
                elif kind == "summary":
                    print(flush=True)
                    ttft = frame.summary.timings.time_to_first_token.ToTimedelta()
                    report = frame.summary.sparsity
                    note = " (closest feasible)" if report.closest_feasible else ""
                    print(f"TTFT {ttft}, realized sparsity"
                          f" {report.realized_sparsity:.3f}{note}",
                          file=sys.stderr)
        except grpc.RpcError as error:
            sys.exit(f"{error.code().name}: {error.details()}")


if __name__ == "__main__":
    main()
