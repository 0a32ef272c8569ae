"""CUDA C++: the toolkit, libraries of .cu files, checks of what they compile to.

Only builds with --config=cuda look at any of this. The toolkit is that of
CUDA_HOME or /usr/local/cuda, else made of NVIDIA's wheels.
"""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")
load("//tools/bazel:pypi.bzl", "download_wheels")

_WHEELS = {
    "nvidia-cuda-cccl==13.0.85": "e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649",
    "nvidia-cuda-crt==13.0.88": "2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4",
    "nvidia-cuda-nvcc==13.0.88": "56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03",
    "nvidia-cuda-runtime==13.0.96": "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    "nvidia-nvvm==13.0.88": "c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0",
}

# Code for Hopper's own instructions: it runs on compute capability 9.0 alone.
_ARCHITECTURE = "arch=compute_90a,code=sm_90a"

def _installed_toolkit(ctx):
    for home in [ctx.os.environ.get("CUDA_HOME"), "/usr/local/cuda"]:
        if home and ctx.path(home + "/bin/nvcc").exists:
            return home
    return None

def _cuda_toolkit_impl(ctx):
    ctx.symlink(ctx.attr.build_file, "BUILD")
    home = _installed_toolkit(ctx)
    if not home:
        download_wheels(ctx, _WHEELS, ["nvidia/cu13/* => toolkit"])

        # A wheel's members come without their permissions.
        ctx.execute(["chmod", "-R", "u+x", "toolkit/bin", "toolkit/nvvm/bin"])
        return
    for folder in ["bin", "include", "nvvm"]:
        ctx.symlink(home + "/" + folder, "toolkit/" + folder)
    for folder in ["lib64", "lib", "targets/x86_64-linux/lib"]:
        library = ctx.path(home + "/" + folder + "/libcudart_static.a")
        if library.exists:
            ctx.symlink(library, "toolkit/lib/libcudart_static.a")
            return
    fail("%s has no libcudart_static.a" % home)

cuda_toolkit = repository_rule(
    implementation = _cuda_toolkit_impl,
    attrs = {
        "build_file": attr.label(
            mandatory = True,
            doc = "The BUILD file of the repository.",
        ),
    },
    environ = ["CUDA_HOME"],
)

def _compile(ctx, src, deps_context):
    """An object of one .cu file, and what ptxas says of its kernels."""
    name = "%s_objs/%s" % (ctx.label.name, src.basename)
    compiled = ctx.actions.declare_file(name + ".o")
    report = ctx.actions.declare_file(name + ".ptxas")
    args = ctx.actions.args()
    args.add(ctx.file.nvcc)
    args.add_all(["-O3", "-std=c++17", "-gencode=" + _ARCHITECTURE])
    args.add_all(["--expt-relaxed-constexpr", "-Xcompiler=-fPIC", "-Xptxas=-v"])
    args.add("-I.")
    args.add_all(deps_context.quote_includes, before_each = "-I")
    args.add_all(deps_context.includes, before_each = "-I")
    args.add_all(deps_context.system_includes, before_each = "-isystem")
    args.add("-c", src)
    args.add("-o", compiled)
    ctx.actions.run_shell(
        command = '"$@" >%s 2>&1 || { cat %s >&2; exit 1; }' % (
            report.path,
            report.path,
        ),
        arguments = [args],
        inputs = depset(
            [src] + ctx.files.hdrs + ctx.files.toolkit,
            transitive = [deps_context.headers],
        ),
        outputs = [compiled, report],
        mnemonic = "CudaCompile",
        progress_message = "Compiling %s" % src.short_path,
        use_default_shell_env = True,
    )
    return compiled, report

def _cuda_library_impl(ctx):
    cc_toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = cc_toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    deps = [dep[CcInfo] for dep in ctx.attr.deps]
    merged = cc_common.merge_cc_infos(cc_infos = deps)
    compiled = [
        _compile(ctx, src, merged.compilation_context)
        for src in ctx.files.srcs
    ]
    objects = depset([pair[0] for pair in compiled])
    linking_context, _ = cc_common.create_linking_context_from_compilation_outputs(
        actions = ctx.actions,
        feature_configuration = features,
        cc_toolchain = cc_toolchain,
        compilation_outputs = cc_common.create_compilation_outputs(
            objects = objects,
            pic_objects = objects,
        ),
        linking_contexts = [merged.linking_context],
        disallow_dynamic_library = True,
        name = ctx.label.name,
    )
    own = CcInfo(
        compilation_context = cc_common.create_compilation_context(
            headers = depset(ctx.files.hdrs),
        ),
    )
    return [
        CcInfo(
            compilation_context = cc_common.merge_cc_infos(
                direct_cc_infos = [own],
                cc_infos = deps,
            ).compilation_context,
            linking_context = linking_context,
        ),
        DefaultInfo(files = objects),
        OutputGroupInfo(ptxas = depset([pair[1] for pair in compiled])),
    ]

_cuda_library = rule(
    implementation = _cuda_library_impl,
    attrs = {
        "deps": attr.label_list(providers = [CcInfo]),
        "hdrs": attr.label_list(allow_files = [".h", ".cuh"]),
        "nvcc": attr.label(allow_single_file = True),
        "srcs": attr.label_list(allow_files = [".cu"]),
        "toolkit": attr.label(),
        "_cc_toolchain": attr.label(
            default = "@bazel_tools//tools/cpp:current_cc_toolchain",
        ),
    },
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)

# Of targets that only a build with --config=cuda has.
NEEDS_CUDA = select({
    "//tools/bazel:cuda": [],
    "//conditions:default": ["//tools/bazel:never"],
})

def if_cuda(values):
    """`values` with --config=cuda, else nothing."""
    return select({
        "//tools/bazel:cuda": values,
        "//conditions:default": [],
    })

def _if_cuda_label(label):
    return select({
        "//tools/bazel:cuda": label,
        "//conditions:default": None,
    })

def cuda_library(name, srcs = [], hdrs = [], deps = [], **kwargs):
    """A library of .cu files, used like a cc_library.

    Args:
      name: of the library.
      srcs: .cu files, each of which becomes one object.
      hdrs: .h files for C++, and .cuh files that other .cu files include.
      deps: cc_library and cuda_library targets.
      **kwargs: attributes of every rule, such as visibility.
    """

    # Named in selects, so that other builds do not fetch them.
    _cuda_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        deps = if_cuda(deps + ["@cuda//:cudart"]),
        nvcc = _if_cuda_label("@cuda//:nvcc"),
        toolkit = _if_cuda_label("@cuda//:toolkit"),
        target_compatible_with = NEEDS_CUDA,
        **kwargs
    )

def cuda_resource_test(name, libraries, kernels):
    """Checks what ptxas says of kernels; no GPU is needed.

    No kernel may spill registers or have a stack, and none of its warnings of
    lost performance may have been given.

    Args:
      name: of the test.
      libraries: cuda_library targets.
      kernels: dict from a part of a kernel's mangled name, which must be in
        one kernel's, to the most registers that it may use.
    """
    native.filegroup(
        name = name + "_reports",
        srcs = if_cuda(libraries),
        output_group = "ptxas",
    )
    native.py_test(
        name = name,
        size = "small",
        srcs = ["//tools/testing:check_ptxas.py"],
        main = "//tools/testing:check_ptxas.py",
        data = [name + "_reports"],
        args = ["--kernel=%s:%d" % item for item in kernels.items()] +
               ["$(locations %s_reports)" % name],
        tags = ["cuda"],
        target_compatible_with = NEEDS_CUDA,
    )
