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

def cc_facade(
        name,
        hdrs = [],
        interface = [],
        deps = [],
        testonly = None,
        visibility = None,
        **kwargs):
    """A cc_library that gives its callers the headers of its interface alone.

    What it is made with, such as a backend that only some builds have, is neither
    an input nor a flag of their compilation: it changes, and they are not compiled
    again.

    Args:
      name: of the library.
      hdrs: headers for its callers.
      interface: what these include, and cc_library targets with others for its
        callers.
      deps: what else it is made with.
      testonly: of the library.
      visibility: of the library.
      **kwargs: attributes of the cc_library behind it, NAME_behind: srcs and so on.
    """
    hidden = ["//visibility:private"]
    if hdrs:
        native.cc_library(
            name = name + "_interface",
            hdrs = hdrs,
            testonly = testonly,
            visibility = hidden,
            deps = interface,
        )
        interface = [name + "_interface"]
    native.cc_library(
        name = name + "_behind",
        testonly = testonly,
        visibility = hidden,
        deps = interface + deps,
        **kwargs
    )
    _cc_facade(
        name = name,
        behind = name + "_behind",
        interface = interface,
        testonly = testonly,
        visibility = visibility,
    )
