"""Reads pip's requirements files, so that a version is pinned in one place."""

def read_requirements(ctx, labels, names):
    """The pins of some packages, as pypi.bzl's download_wheels takes them.

    Args:
      ctx: the repository context.
      labels: requirements files: lines `NAME==VERSION --hash=sha256:HASH`.
      names: the packages wanted; each must be in one of the files.

    Returns:
      A dict from "name==version" to the SHA-256, in hex.
    """
    pins = {}
    for label in labels:
        for line in ctx.read(ctx.path(label)).splitlines():
            pin, _, sha256 = line.partition(" --hash=sha256:")
            if sha256 and pin.partition("==")[0] in names:
                pins[pin] = sha256.strip()
    if len(pins) != len(names):
        fail("not all of %s are pinned in %s" % (names, labels))
    return pins
