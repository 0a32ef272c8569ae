#!/bin/bash
# Lints the .proto files by proto/buf.yaml. The first argument is buf.
set -euo pipefail
# buf reads files, not the links that Bazel makes of them, and a wheel's files
# have lost their mode.
cp -rL proto "$TEST_TMPDIR/proto"
cp -L "$1" "$TEST_TMPDIR/buf"
chmod +x "$TEST_TMPDIR/buf"
HOME=$TEST_TMPDIR exec "$TEST_TMPDIR/buf" lint "$TEST_TMPDIR/proto"
