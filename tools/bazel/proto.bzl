"""Protocol Buffers and gRPC code with Debian's protoc.

Example:

    load("//tools/bazel:proto.bzl", "seer_cc_grpc_library")

    seer_cc_grpc_library(
        name = "completion_cc_grpc",
        srcs = ["completion.proto"],
        deps = ["@googleapis//:rpc_cc"],
    )

A .proto file imports others by their path from the package of the target that
lists them, so that the path spells the protobuf package ("seer/v1/sparsity.proto"
of //proto, "google/rpc/status.proto" of @googleapis//). google/protobuf/ is
always there. The generated headers are included by the same paths, or by their
path from the root of the repository.
"""

_PROTOC = "/usr/bin/protoc"
_GRPC_CPP_PLUGIN = "/usr/bin/grpc_cpp_plugin"
_GRPC_PYTHON_PLUGIN = "/usr/bin/grpc_python_plugin"

ProtoSourcesInfo = provider(
    doc = "Some .proto files and all they import.",
    fields = {
        "direct": "list of File: the target's own .proto files",
        "roots": "depset of string: folders that import paths start from",
        "transitive": "depset of File: the .proto files with all they import",
    },
)

def _import_root(ctx):
    return "/".join([
        part
        for part in [ctx.label.workspace_root, ctx.label.package]
        if part
    ])

def _protoc_args(ctx, info):
    args = ctx.actions.args()
    args.add_all([root or "." for root in info.roots.to_list()], format_each = "-I%s")
    return args

def _import_paths(ctx, srcs):
    root = _import_root(ctx)
    return [src.path[len(root) + 1:] if root else src.path for src in srcs]

def _proto_sources_impl(ctx):
    deps = [dep[ProtoSourcesInfo] for dep in ctx.attr.deps]
    return [
        DefaultInfo(files = depset(ctx.files.srcs)),
        ProtoSourcesInfo(
            direct = ctx.files.srcs,
            roots = depset(
                [_import_root(ctx)],
                transitive = [dep.roots for dep in deps],
            ),
            transitive = depset(
                ctx.files.srcs,
                transitive = [dep.transitive for dep in deps],
            ),
        ),
    ]

proto_sources = rule(
    doc = "Some .proto files, to be imported or compiled.",
    implementation = _proto_sources_impl,
    attrs = {
        "deps": attr.label_list(
            providers = [ProtoSourcesInfo],
            doc = "proto_sources whose files these import.",
        ),
        "srcs": attr.label_list(
            allow_files = [".proto"],
            mandatory = True,
        ),
    },
)

# Per language: protoc's options, the suffixes of its output for messages, and
# those for services.
_LANGUAGES = {
    "cpp": struct(
        message_options = ["--cpp_out="],
        message_suffixes = [".pb.h", ".pb.cc"],
        service_options = ["--plugin=protoc-gen-grpc=" + _GRPC_CPP_PLUGIN, "--grpc_out="],
        service_suffixes = [".grpc.pb.h", ".grpc.pb.cc"],
    ),
    "python": struct(
        message_options = ["--python_out="],
        message_suffixes = ["_pb2.py"],
        service_options = ["--plugin=protoc-gen-grpc=" + _GRPC_PYTHON_PLUGIN, "--grpc_out="],
        service_suffixes = ["_pb2_grpc.py"],
    ),
}

def _proto_code_impl(ctx):
    info = ctx.attr.proto[ProtoSourcesInfo]
    language = _LANGUAGES[ctx.attr.language]
    options = language.message_options
    suffixes = language.message_suffixes
    if ctx.attr.grpc:
        options = options + language.service_options
        suffixes = suffixes + language.service_suffixes
    outputs = [
        ctx.actions.declare_file(src.basename[:-len(".proto")] + suffix, sibling = src)
        for src in info.direct
        for suffix in suffixes
    ]
    out_dir = ctx.bin_dir.path
    if _import_root(ctx):
        out_dir += "/" + _import_root(ctx)
    args = _protoc_args(ctx, info)
    args.add_all([
        option + out_dir if option.endswith("_out=") else option
        for option in options
    ])
    args.add_all(_import_paths(ctx, info.direct))
    ctx.actions.run(
        executable = _PROTOC,
        arguments = [args],
        inputs = info.transitive,
        outputs = outputs,
        mnemonic = "Protoc",
        progress_message = "Generating %s code of %s" % (ctx.attr.language, ctx.label),
    )
    return [DefaultInfo(files = depset(outputs))]

_proto_code = rule(
    implementation = _proto_code_impl,
    attrs = {
        "grpc": attr.bool(doc = "Whether to generate the services too."),
        "language": attr.string(
            mandatory = True,
            values = _LANGUAGES.keys(),
        ),
        "proto": attr.label(
            mandatory = True,
            providers = [ProtoSourcesInfo],
        ),
    },
)

def _proto_descriptor_set_impl(ctx):
    info = ctx.attr.proto[ProtoSourcesInfo]
    out = ctx.actions.declare_file(ctx.label.name + ".binpb")
    args = _protoc_args(ctx, info)
    args.add("--include_imports")
    args.add("--include_source_info")
    args.add(out, format = "--descriptor_set_out=%s")
    args.add_all(_import_paths(ctx, info.direct))
    ctx.actions.run(
        executable = _PROTOC,
        arguments = [args],
        inputs = info.transitive,
        outputs = [out],
        mnemonic = "Protoc",
        progress_message = "Generating the descriptor set of %s" % ctx.label,
    )
    return [DefaultInfo(files = depset([out]))]

proto_descriptor_set = rule(
    doc = "A serialized FileDescriptorSet, NAME.binpb, imports and comments included.",
    implementation = _proto_descriptor_set_impl,
    attrs = {
        "proto": attr.label(
            mandatory = True,
            providers = [ProtoSourcesInfo],
            doc = "A proto_sources target.",
        ),
    },
)

def seer_cc_grpc_library(name, srcs, deps = [], grpc = True, **kwargs):
    """A C++ library of messages and, with `grpc`, services.

    Also makes NAME_protos, the proto_sources target of the same files.

    Args:
      name: the cc_library.
      srcs: .proto files.
      deps: seer_cc_grpc_library targets whose .proto files these import.
      grpc: whether to generate services.
      **kwargs: attributes of every target made, such as visibility.
    """
    proto_sources(
        name = name + "_protos",
        srcs = srcs,
        deps = [_protos_label(dep) for dep in deps],
        **kwargs
    )
    _proto_code(
        name = name + "_code",
        grpc = grpc,
        language = "cpp",
        proto = ":" + name + "_protos",
    )
    native.cc_library(
        name = name,
        srcs = [":" + name + "_code"],
        hdrs = [":" + name + "_code"],
        includes = ["."],
        deps = deps + ["@protobuf"] + (["@grpc//:grpcpp"] if grpc else []),
        **kwargs
    )

def seer_py_grpc_files(name, proto, grpc = True, **kwargs):
    """The _pb2.py and, with `grpc`, _pb2_grpc.py files of a proto_sources target.

    Args:
      name: the target whose files these are.
      proto: a proto_sources target, in the same package.
      grpc: whether to generate services.
      **kwargs: other attributes, such as visibility.
    """
    _proto_code(
        name = name,
        grpc = grpc,
        language = "python",
        proto = proto,
        **kwargs
    )

def _protos_label(label):
    if ":" not in label:
        label = label + ":" + label.split("/")[-1]
    return label + "_protos"
