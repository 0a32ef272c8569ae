"""LibTorch, the C++ part of PyTorch, from its wheel.

The CPU libraries of the CUDA build of torch also need the CUDA runtime and
CUPTI libraries when they are loaded, so these come along; no CUDA toolkit and
no GPU is needed.
"""

load("//tools/bazel:pypi.bzl", "download_wheels")

_REQUIREMENTS = {
    "torch==2.11.0": "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
    "nvidia-cuda-runtime==13.0.96": "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    "nvidia-cuda-cupti==13.0.85": "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
}

# All libraries land in one folder: libtorch_cpu.so looks for the others beside
# itself.
_MEMBERS = [
    "torch/lib/libc10.so => lib",
    "torch/lib/libgomp.so.1 => lib",
    "torch/lib/libtorch_cpu.so => lib",
    "nvidia/cu13/lib/libcudart.so.13 => lib",
    "nvidia/cu13/lib/libcupti.so.13 => lib",
    "torch/include/* => include",
]

def _libtorch_impl(ctx):
    ctx.symlink(ctx.attr.build_file, "BUILD")
    download_wheels(ctx, _REQUIREMENTS, _MEMBERS)

    # An older protobuf that would shadow the system's.
    ctx.delete("include/google")

libtorch = repository_rule(
    implementation = _libtorch_impl,
    attrs = {
        "build_file": attr.label(
            mandatory = True,
            doc = "The BUILD file of the repository.",
        ),
    },
)
