"""A C++ library that the Debian system provides.

The headers stay under /usr/include, which the C++ toolchain searches anyway, so
a build file names only link options. The repository exists to give the library
a label, and to say which package to install where it is missing.
"""

def _system_library_impl(ctx):
    if not ctx.path(ctx.attr.probe).exists:
        fail("%s is missing: install Debian's %s (tools/setup build does it)" %
             (ctx.attr.probe, ctx.attr.package))
    ctx.symlink(ctx.attr.build_file, "BUILD")

system_library = repository_rule(
    implementation = _system_library_impl,
    attrs = {
        "build_file": attr.label(
            mandatory = True,
            doc = "The BUILD file of the repository.",
        ),
        "package": attr.string(
            mandatory = True,
            doc = "The Debian package that carries the library.",
        ),
        "probe": attr.string(
            mandatory = True,
            doc = "An absolute path that exists where the package is installed.",
        ),
    },
    local = True,
)
