"""Repositories made from wheels of the Python package index.

pip downloads each wheel by name and version from whatever index the machine is
set up with, and refuses one whose SHA-256 differs from the pinned hash.
"""

# The wheels are chosen for this interpreter and platform, not for the ones that
# run pip, so that a build on another Python gets the same bytes.
_PLATFORM = [
    "--python-version=311",
    "--implementation=cp",
    "--abi=cp311",
    "--abi=abi3",
    "--abi=none",
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux_2_27_x86_64",
    "--platform=manylinux_2_25_x86_64",
    "--platform=manylinux_2_17_x86_64",
    "--platform=manylinux2014_x86_64",
    "--platform=any",
]

def download_wheels(ctx, requirements, members):
    """Fetches wheels and unpacks some of their members into the repository.

    Args:
      ctx: the repository context.
      requirements: dict from "name==version" to the wheel's SHA-256, in hex.
      members: patterns of the members to keep; see unpack_wheels.py.
    """
    python = ctx.which("python3")
    if not python:
        fail("python3 is missing: tools/setup build installs it")
    ctx.file("requirements.txt", "".join([
        "%s --hash=sha256:%s\n" % (requirement, sha256)
        for requirement, sha256 in requirements.items()
    ]))
    unpack = ctx.path(Label("//tools/bazel:unpack_wheels.py"))
    for command in [
        [python, "-m", "pip", "download", "--quiet", "--no-deps"] +
        ["--only-binary=:all:", "--require-hashes", "--dest=wheels"] +
        ["--requirement=requirements.txt"] + _PLATFORM,
        [python, unpack, "wheels", "."] + members,
    ]:
        result = ctx.execute(command, timeout = 1200)
        if result.return_code != 0:
            fail("%s\n%s%s" % (
                " ".join([str(word) for word in command]),
                result.stdout,
                result.stderr,
            ))
    ctx.delete("wheels")

def _pypi_wheels_impl(ctx):
    ctx.symlink(ctx.attr.build_file, "BUILD")
    download_wheels(ctx, ctx.attr.requirements, ctx.attr.members)

pypi_wheels = repository_rule(
    implementation = _pypi_wheels_impl,
    attrs = {
        "build_file": attr.label(
            mandatory = True,
            doc = "The BUILD file of the repository.",
        ),
        "members": attr.string_list(
            mandatory = True,
            doc = "The members to unpack; see unpack_wheels.py.",
        ),
        "requirements": attr.string_dict(
            mandatory = True,
            doc = "SHA-256 of each wheel, by name==version.",
        ),
    },
)
