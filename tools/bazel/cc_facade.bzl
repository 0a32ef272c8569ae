"""Libraries whose callers see an interface and nothing of what is behind it."""

def _cc_facade_impl(ctx):
    interface = [dep[CcInfo] for dep in ctx.attr.interface]
    behind = ctx.attr.behind
    runfiles = ctx.runfiles().merge(behind[DefaultInfo].default_runfiles)
    return [
        CcInfo(
            compilation_context = cc_common.merge_cc_infos(
                cc_infos = interface,
            ).compilation_context,
            linking_context = behind[CcInfo].linking_context,
        ),
        DefaultInfo(files = behind[DefaultInfo].files, runfiles = runfiles),
    ]

_cc_facade = rule(
    implementation = _cc_facade_impl,
    attrs = {
        "behind": attr.label(providers = [CcInfo]),
        "interface": attr.label_list(providers = [CcInfo]),
    },
)

def cc_facade(name, interface, deps = [], visibility = None, testonly = False, **kwargs):
    """A cc_library that gives its callers the headers of `interface` alone.

    What it is made with, such as a backend that only some builds have, is neither
    an input nor a flag of their compilation: it changes, and they are not compiled
    again.

    Args:
      name: of the library.
      interface: cc_library targets with its headers; the library links them too.
      deps: what else it is made with.
      visibility: of the library.
      testonly: of the library.
      **kwargs: attributes of the cc_library behind it, NAME_behind: srcs and so on.
    """
    native.cc_library(
        name = name + "_behind",
        deps = interface + deps,
        testonly = testonly,
        visibility = ["//visibility:private"],
        **kwargs
    )
    _cc_facade(
        name = name,
        behind = name + "_behind",
        interface = interface,
        testonly = testonly,
        visibility = visibility,
    )
