#!/usr/bin/env bash
# retort doctor: good marks here, bad marks where a setting spoils something, JSON for machines.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
positive() {
    local x
    x=$(sed -n "s/.*\"$1\":\([0-9.e+]*\).*/\1/p" "$dir/json")
    awk -v x="$x" 'BEGIN { exit !(x > 0) }' || fail "$1 is '$x' in $(cat "$dir/json")"
}

"$RETORT" doctor --quick --json >"$dir/json" || fail "exit $?: $(cat "$dir/json")"
[ "$(wc -l <"$dir/json")" = 1 ] || fail "--json is one line"
grep -q '^{"ok":true,' "$dir/json" || fail "not ok: $(cat "$dir/json")"
for name in cores threads gflops_1 gflops_all memory_available copy_gb_s; do positive $name; done

OMP_NUM_THREADS=200 RETORT_SHARE=/no/such/folder OMPI_COMM_WORLD_SIZE=1 "$RETORT" doctor --quick >"$dir/text"
grep -q '^note  CPU ' "$dir/text" || fail "more threads than cores are not noticed: $(cat "$dir/text")"
grep -q '^note  share .*/no/such/folder' "$dir/text" || fail "a wrong RETORT_SHARE is not noticed: $(cat "$dir/text")"
grep -q 'rank under mpirun' "$dir/text" || fail "does not see that it is a rank: $(cat "$dir/text")"

# Without OpenBLAS: well where our own kernel multiplies, an error where OpenBLAS is to.
without=(env RETORT_BLAS=/no/such/library OMPI_COMM_WORLD_SIZE=1)
"${without[@]}" RETORT_GEMM=own "$RETORT" doctor --quick >"$dir/text" || fail "exit $? without OpenBLAS: $(cat "$dir/text")"
grep -q '^good  kernel .*; no OpenBLAS$' "$dir/text" || fail "does not say that there is no OpenBLAS: $(cat "$dir/text")"
code=0
"${without[@]}" RETORT_GEMM=openblas "$RETORT" doctor --quick >"$dir/text" 2>"$dir/err" || code=$?
[ $code = 2 ] || fail "exit $code where the OpenBLAS to use is missing, expected 2"
grep -q 'install libopenblas0-pthread' "$dir/err" || fail "does not say how to get OpenBLAS: $(cat "$dir/err")"
# The variable's older name does the same, with a note; the newer one goes before it.
ends 2 "${without[@]}" RETORT_PRODUCT=openblas "$RETORT" doctor --quick
grep -qx 'retort: RETORT_PRODUCT is now called RETORT_GEMM; version 0.3 will no longer accept the old name' "$dir/err" || fail "RETORT_PRODUCT: $(cat "$dir/err")"
grep -q 'install libopenblas0-pthread' "$dir/err" || fail "RETORT_PRODUCT chooses nothing: $(cat "$dir/err")"
good "${without[@]}" RETORT_GEMM=own RETORT_PRODUCT=openblas "$RETORT" --version
[ ! -s "$dir/err" ] || fail "RETORT_GEMM beside RETORT_PRODUCT: $(cat "$dir/err")"

if grep -q avx2 /proc/cpuinfo; then
    code=0
    OPENBLAS_CORETYPE=Prescott OMPI_COMM_WORLD_SIZE=1 "$RETORT" doctor --quick >"$dir/text" 2>"$dir/err" || code=$?
    [ $code = 1 ] || fail "exit $code with OpenBLAS's slowest kernel, expected 1"
    grep -q '^BAD   kernel .*Prescott' "$dir/text" || fail "the slow kernel is not marked: $(cat "$dir/text")"
fi
