#!/usr/bin/env bash
# The tests with the label `numeric`, once for each way in which this machine can compute: each kernel table that the CPU
# runs, with the own gemm backend, with bf16 (emulated where the CPU has no instruction for it) and with OpenBLAS, and OpenBLAS's
# kernel for each core type that the CPU runs.
# Called by ./run test --numeric; words after it go to ctest.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
retort=build/release/retort ctest=/usr/bin/ctest failed=()
[ -x $ctest ] || ctest=ctest

# OpenBLAS's core types, oldest first, and the CPU flags that each needs.
core_types() {
    cat <<'TABLE'
Prescott pni
Core2 ssse3
Nehalem sse4_2
Sandybridge avx
Haswell avx2 fma
Zen avx2 fma
SkylakeX avx512f avx512bw avx512dq avx512vl
Cooperlake avx512f avx512bw avx512dq avx512vl avx512_bf16
SapphireRapids avx512f avx512bw avx512dq avx512vl avx512_bf16 amx_bf16
ARMV8 asimd
NEOVERSEN1 asimd asimdhp
TABLE
}

cpu_has() { # FLAG...
    local flag
    for flag; do grep -qwE "^(flags|Features).*[[:space:]]$flag" /proc/cpuinfo || return 1; done
}

runs() { # PATTERN VARIABLE=VALUE...: the program says that it computes so
    local pattern=$1
    shift
    env "$@" $retort --version 2>/dev/null | grep -q "^kernel $pattern"
}

one() { # NAME VARIABLE=VALUE...
    local name=$1 began=$SECONDS
    shift
    echo "numeric: $name"
    env "$@" $ctest --test-dir build/release -j2 -L numeric --output-on-failure "${words[@]}" </dev/null || failed+=("$name")
    echo "numeric: $name took $((SECONDS - began)) s"
}

words=("$@")
began=$SECONDS
for table in ref avx2 avx512 avx512_bf16 neon neon_bf16; do
    runs "$table;" RETORT_CPU=$table RETORT_GEMM=own || continue
    one "$table, own gemm" RETORT_CPU=$table RETORT_GEMM=own
    one "$table, bf16 gemm" RETORT_CPU=$table RETORT_GEMM=bf16
    runs "$table; OpenBLAS" RETORT_CPU=$table RETORT_GEMM=openblas || continue
    one "$table, OpenBLAS" RETORT_CPU=$table RETORT_GEMM=openblas
done
while read -r core flags; do
    # shellcheck disable=SC2086 # the flags are words
    cpu_has $flags && runs ".* $core MAX_THREADS" OPENBLAS_CORETYPE="$core" RETORT_GEMM=openblas || continue # it replaces what it lacks
    one "OpenBLAS for $core" OPENBLAS_CORETYPE="$core" RETORT_GEMM=openblas
done < <(core_types)
[ ${#failed[@]} = 0 ] || {
    printf 'numeric: FAILED: %s\n' "${failed[@]}"
    exit 1
}
echo "numeric: all good in $((SECONDS - began)) s"
