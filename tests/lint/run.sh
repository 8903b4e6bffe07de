#!/usr/bin/env bash
# All lints, in order of seconds; goes on after a finding and fails at the end. Run by ./run lint.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
failed=0
check() {
    local name=$1
    shift
    if "$@"; then echo "lint: $name: good"; else failed=1 && echo "lint: $name: FAILED"; fi
}
listed() { git ls-files -z --cached --others --exclude-standard "$@"; }
check_format() { listed '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror; }
check_scripts() { listed run .ci/run '*.sh' | xargs -0 shellcheck -s bash -x -S warning; }
check layers python3 tests/lint/check_layers.py .
check names python3 tests/lint/check_names.py .
check words python3 tests/lint/check_words.py .
check format check_format
check scripts check_scripts
for compiler in gcc clang; do
    command -v $compiler >/dev/null || { echo "lint: $compiler is not installed: ./run setup dev" && failed=1 && continue; }
    check "warnings of $compiler" python3 tests/lint/check_warnings.py $compiler build/release/compile_commands.json
done
exit $failed
