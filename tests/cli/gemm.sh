#!/usr/bin/env bash
# The gemm backend: which commands measure, where it is shown and recorded, resumed runs, ranks that have measured different rates.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
unset RETORT_GEMM RETORT_CPU
export OMP_NUM_THREADS=1 XDG_CACHE_HOME=$dir/cache
cd "$dir"
"$RETORT" --version | grep -q '^kernel .*; OpenBLAS' || { echo "skipped: without OpenBLAS there is one backend to choose from"; exit 77; }
for i in $(seq 100); do echo "text $i of the vessel and the wine"; done >text.txt
cat >config.json <<'JSON'
{"model":{"C":16,"L":1,"H":2,"KV":1,"D":8,"F":32,"context":32,"tokenizer":"tok"},
 "data":{"seq":32,"train":"text.h5"},"dtype":"f32","steps":2,"schedule":{"kind":"constant"}}
JSON

# Commands that do not compute measure nothing.
good "$RETORT" tokenizer train text.txt --vocab 300 --out tok
good "$RETORT" data import text.txt --tokenizer tok --out text.h5
good "$RETORT" --version
good "$RETORT" train --help
good "$RETORT" completions bash
good "$RETORT" plan config.json
[ ! -e cache ] || fail "a command that does not compute has measured: $(ls -R cache)"

# The first that does measures; its first lines say so; the next one finds the rates.
good "$RETORT" train config.json --set out=measured
grep -q '^train: gemm: .*; measured: .*own [0-9]*, openblas [0-9]* GFLOP/s on one thread$' out || fail "train: $(cat out)"
[ "$(wc -l <cache/retort/gemm.txt)" = 1 ] || fail "the rates: $(cat cache/retort/gemm.txt)"
cp cache/retort/gemm.txt first
OMPI_COMM_WORLD_SIZE=1 "$RETORT" doctor --quick >out || fail "doctor: $(cat out)"
grep -q '^good  gemm backend .*; measured: ' out || fail "doctor: $(cat out)"
cmp -s cache/retort/gemm.txt first || fail "measured again: $(cat first cache/retort/gemm.txt)"

# rates FOLDER OWN OPENBLAS: a cache folder with these rates of the backends.
rates() {
    mkdir -p "$1/retort"
    sed "s/\tbf16 [0-9.]*//; s/\town .*/\tbf16 $2\town $2\topenblas $3/" first >"$1/retort/gemm.txt"
}
rates slow 100 90
rates fast 100 120
XDG_CACHE_HOME=$dir/fast "$RETORT" bench gemm --json >out
grep -q '"engine":"openblas","why":"measured: .*own 100, openblas 120 GFLOP/s on one thread"' out || fail "bench gemm: $(cat out)"
XDG_CACHE_HOME=/dev/null good "$RETORT" train config.json --set out=ordered
grep -q '^train: gemm: .*; not measured, the first of ' out || fail "without a cache: $(cat out)"

# A run that continues takes the backend of its checkpoint, or says that bits will differ.
with() { # RATES WORDS...: train with these rates
    local folder=$dir/$1
    shift
    good env XDG_CACHE_HOME="$folder" "$RETORT" train config.json --set out=run "$@"
}
with fast
tr -d ' \n' <run/latest/manifest.json | grep -q '"gemm":{"backend":"openblas","of_reals":"openblas","kernel":"' || fail "manifest: $(cat run/latest/manifest.json)"
with slow steps=3 --resume
grep -q '^train: gemm: openblas, .*; as in the checkpoint$' out || fail "resumed: $(cat out)"
! grep -q 'bits will differ' err || fail "the same backend: $(cat err)"
RETORT_GEMM=own with fast steps=4 --resume
grep -q '^retort: bits will differ from those of an uninterrupted run: gemm had backend openblas, of_reals openblas, openblas [A-Za-z]* until step 3, and now has backend own, of_reals own, openblas none (set by RETORT_GEMM)$' err ||
    fail "another backend: $(cat err)"
grep -q '^train: gemm: own (.*; set by RETORT_GEMM$' out || fail "another backend: $(cat out)"
sed -i 's/"kernel": "[a-z0-9_]*"/"kernel": "other"/' run/latest/manifest.json # as on another machine
with fast steps=5 --resume
grep -q '^retort: bits will differ .* backend own, .* kernel other, .* until step 4, and now has backend openblas' err || fail "a kernel that is not here: $(cat err)"
sed -i 's/"backend": "openblas"/"backend": "amx"/' run/latest/manifest.json
with slow steps=6 --resume
grep -q '^retort: bits will differ .* backend amx, .* until step 5, and now has backend own' err || fail "a backend that is not here: $(cat err)"
sed -i 's/"gemm"/"older"/' run/latest/manifest.json # of a version that recorded none
with slow steps=7 --resume
! grep -q 'bits will differ' err || fail "nothing recorded: $(cat err)"
grep -q '^train: gemm: own (.*; measured: ' out || fail "nothing recorded: $(cat out)"

# A collection that goes on with a server that computes in another way: the ledger keeps how it began, and a line says so.
collect() { # BACKEND OUT SHARD...: of a server with this backend, into one ledger
    local out=$2
    RETORT_GEMM=$1 begin_server "$RETORT" serve run/latest --port 0 --port-file "$dir/port" --name student
    shift 2
    good "$RETORT" score --teacher "$url" --shards "$@" --out "$out" --ledger one.ledger --k 4 --m 4
    end_server
    "$RETORT" data inspect "$out" | grep -q 'probe .*"dtype":"f32","gemm":{"backend":"own"' || fail "the probe: $("$RETORT" data inspect "$out")"
}
head -n 30 text.txt | tr a-e e-i >more.txt
good "$RETORT" data import more.txt --tokenizer tok --out more.h5
collect own began.h5 text.h5
! grep -q 'bits will differ' err || fail "one server: $(cat err)"
collect openblas goes-on.h5 text.h5 more.h5
grep -q '^retort: http.* now computes with gemm {"backend":"openblas",.*one.ledger were computed with {"backend":"own",.*}: bits will differ$' err ||
    fail "another backend of the server: $(cat err)"

# An older core type than the CPU's.
if grep -qw avx2 /proc/cpuinfo; then
    warning='OPENBLAS_CORETYPE=Nehalem keeps OpenBLAS from using the AVX[-0-9]* of this CPU: unset OPENBLAS_CORETYPE'
    OPENBLAS_CORETYPE=Nehalem OMPI_COMM_WORLD_SIZE=1 "$RETORT" doctor --quick >out || fail "doctor: $(cat out)"
    grep -A1 '^note  kernel' out | grep -q -- "-> $warning\$" || fail "doctor: $(cat out)"
    good env OPENBLAS_CORETYPE=Nehalem "$RETORT" train config.json --set out=older
    grep -qx "retort: warning: $warning" err || fail "train: $(cat err)"
    good "$RETORT" train config.json --set out=newer
    ! grep -q OPENBLAS_CORETYPE err || fail "train: $(cat err)"
fi

# Ranks with other rates: all take own, and rank 0 says so. Ranks that agree say nothing.
command -v mpirun >/dev/null || { echo "gemm: good, without mpirun"; exit 0; }
cat >rank <<'SH'
#!/bin/sh
eval "export XDG_CACHE_HOME=\$dir/\$rank$OMPI_COMM_WORLD_RANK"
exec "$RETORT" train "$dir/config.json" --threads 1 --set "$@"
SH
export dir rank0=fast rank1=slow
good mpirun -n 2 sh rank out=ranks
[ "$(grep -c 'the ranks have chosen different gemm backends: openblas on rank 0, own on rank 1; all use own (' err)" = 1 ] || fail "ranks: $(cat err)"
grep -q '^train: gemm: own (.*; common to all ranks$' out || fail "ranks: $(cat out)"
grep -q '"backend": "own"' ranks/latest/manifest.json || fail "ranks: $(cat ranks/latest/manifest.json)"
rank1=fast good mpirun -n 2 sh rank out=alike
! grep -q 'different gemm' err || fail "alike: $(cat err)"
grep -q '"backend": "openblas"' alike/latest/manifest.json || fail "alike: $(cat alike/latest/manifest.json)"
echo "gemm: good"
