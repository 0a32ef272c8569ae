"""clang's thread-safety analysis of everything a build compiles.

    bazel build --config=thread_safety //...

analyses the C++ sources of each target with clang -fsyntax-only
-Wthread-safety, where they or the headers of ours that they include themselves use
the annotations or take locks. Targets that reach LibTorch are left out: its headers take clang
longer than the analysis is worth.
"""

_CppInfo = provider(
    doc = "What the targets above need to know of one.",
    fields = {"links_torch": "bool: whether LibTorch is among its dependencies"},
)

def _flags(context):
    args = []
    for flag, values in [
        ("-D", context.defines),
        ("-D", context.local_defines),
        ("-iquote", context.quote_includes),
        ("-I", context.includes),
        ("-isystem", context.system_includes),
    ]:
        args += [flag + value for value in values.to_list()]
    return args

def _thread_safety_impl(target, ctx):
    deps = getattr(ctx.rule.attr, "deps", [])
    links_torch = target.label.workspace_name == "libtorch"
    for dep in deps:
        if _CppInfo in dep and dep[_CppInfo].links_torch:
            links_torch = True
    info = _CppInfo(links_torch = links_torch)
    if (links_torch or CcInfo not in target or target.label.workspace_name or
        not ctx.rule.kind.startswith("cc_")):
        return [info, OutputGroupInfo(thread_safety = depset())]

    context = target[CcInfo].compilation_context
    stamps = []
    for src in [f for attr in ctx.rule.attr.srcs for f in attr.files.to_list()]:
        if src.extension != "cc" or not src.is_source:
            continue
        stamp = ctx.actions.declare_file(
            "%s.%s.thread_safety" % (ctx.label.name, src.basename),
        )
        args = ctx.actions.args()
        args.add(stamp)
        args.add(src)
        args.add_all(_flags(context))
        private_headers = [
            f
            for attr in ctx.rule.attr.srcs
            for f in attr.files.to_list()
            if f.extension in ["h", "inc"]
        ]
        ctx.actions.run(
            executable = ctx.executable._analyze,
            arguments = [args],
            inputs = depset(
                [src] + private_headers,
                transitive = [context.headers],
            ),
            outputs = [stamp],
            mnemonic = "ThreadSafety",
            progress_message = "Analysing locks of " + src.short_path,
        )
        stamps.append(stamp)
    return [info, OutputGroupInfo(thread_safety = depset(stamps))]

thread_safety = aspect(
    implementation = _thread_safety_impl,
    attr_aspects = ["deps"],
    attrs = {
        "_analyze": attr.label(
            default = "//tools/lint:analyze_thread_safety",
            executable = True,
            cfg = "exec",
        ),
    },
)
