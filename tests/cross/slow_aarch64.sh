#!/usr/bin/env bash
# The kernels on 64-bit ARM, which this machine need not be: compiled for it, their tests run in an emulator.
set -eu
for tool in aarch64-linux-gnu-gcc qemu-aarch64; do
    command -v $tool >/dev/null || { echo "skipped: $tool is not installed (./run setup dev)" && exit 77; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { cat "$dir/log" >&2 && echo "cross: $*" >&2 && exit 1; }
cmake=/usr/bin/cmake ctest=/usr/bin/ctest
[ -x $cmake ] || cmake=cmake ctest=ctest
cd "$SOURCE_DIR" # where the presets are
$cmake --preset aarch64 -B "$dir/build" -DRETORT_WERROR=ON >"$dir/log" 2>&1 || fail "cmake cannot configure"
$cmake --build "$dir/build" >"$dir/log" 2>&1 || fail "the kernels do not compile"
$ctest --test-dir "$dir/build" --verbose >"$dir/log" 2>&1 || fail "the kernels' tests fail"
grep ': kernels: neon_bf16;' "$dir/log" || fail "another table than neon_bf16 was chosen"
