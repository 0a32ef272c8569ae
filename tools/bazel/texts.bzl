"""Repositories of long texts, out of Debian packages."""

def _debian_texts_impl(ctx):
    # The script calls its neighbours: changes to them count too.
    for needed in ctx.attr._needs:
        ctx.path(needed)
    result = ctx.execute([ctx.path(ctx.attr.script), "texts"], timeout = 600)
    if result.return_code != 0:
        fail("%s\n%s%s" % (ctx.attr.script, result.stdout, result.stderr))
    ctx.file("BUILD", """
filegroup(
    name = "texts",
    srcs = glob(["texts/**"]),
    visibility = ["//visibility:public"],
)
""")

debian_texts = repository_rule(
    implementation = _debian_texts_impl,
    attrs = {
        "script": attr.label(
            mandatory = True,
            doc = "A script that writes texts into the folder it is given.",
        ),
        "_needs": attr.label_list(default = [
            "//tools/texts:fetch_package",
            "//tools/texts:read_r_strings.py",
        ]),
    },
)
