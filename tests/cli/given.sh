#!/usr/bin/env bash
# Ranks that were given different things end before the first step: exit code 2, one line that names what differs and both values.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
command -v mpirun >/dev/null || { echo "skipped: no mpirun"; exit 77; }
export OMP_NUM_THREADS=1
cd "$dir"
for i in $(seq 100); do echo "text $i of the vessel and the wine"; done >text.txt
sed 's/wine/oil/' text.txt >other.txt
echo '{"model":{"C":16,"L":1,"H":2,"KV":1,"D":8,"F":32,"context":32},"data":{"seq":32},"steps":2,"schedule":{"kind":"constant"}}' >config.json
good "$RETORT" tokenizer train text.txt --vocab 300 --out tok
good "$RETORT" data import text.txt --tokenizer tok --out text.h5
good "$RETORT" data import other.txt --tokenizer tok --out other.h5
good "$RETORT" train config.json --set model.tokenizer=tok data.train=text.h5 out=run
cp text.h5 copy.h5
mkdir elsewhere

# rank1 CODE WORDS OUT WORDS...: two ranks of the same run, the second with these words besides ($cd: in that folder, $set: NAME=VALUE of its
# environment), end with this code; all that both say is one line that holds the first words. Each rank says it to a file of its own.
cat >rank <<'SH'
#!/bin/sh
out=$1
shift
[ "$OMPI_COMM_WORLD_RANK" = 1 ] || set --
[ "$OMPI_COMM_WORLD_RANK" != 1 ] || cd "${cd:-.}"
[ "$OMPI_COMM_WORLD_RANK" != 1 ] || [ -z "$set" ] || export "$set"
exec 2>>"$dir/said.$OMPI_COMM_WORLD_RANK"
exec "$RETORT" train "$dir/config.json" --threads 1 --set model.tokenizer="$dir/tok" data.train="$dir/text.h5" out="$out" "$@"
SH
export dir cd='' set=''
said() { # WORDS
    grep -h '^retort: ' said.? | grep -v '^retort: warning: OPENBLAS_CORETYPE' >said || fail "nothing is said of $1: $(cat said.? err)"
    [ "$(wc -l <said)" = 1 ] && grep -qF -- "$1" said || fail "'$1' is not the one line in: $(cat said)"
}
rank1() {
    local code=$1 words=$2
    shift 2
    rm -f said.?
    ends "$code" mpirun -n 2 sh rank "$@"
    said "$words"
}
rank1 2 "optim.lr is 0.001 on rank 0, 0.002 on rank 1" x optim.lr=2e-3
rank1 2 "steps is 2 on rank 0, 4 on rank 1" x steps=4
rank1 2 "model.C is 16 on rank 0, 32 on rank 1" x model.C=32
rank1 2 "batch.micro is 0 on rank 0, 1 on rank 1" x batch.micro=1
rank1 2 'out is "x" on rank 0, "y" on rank 1' x out=y
rank1 2 "data.train is $dir/text.h5 (text, 100 documents, content " x data.train=other.h5
rank1 2 "number of data.valid is 0 on rank 0, 1 on rank 1" x data.valid=text.h5
rank1 2 "teacher.model is none on rank 0, run/latest (content " x teacher.model=run/latest
rank1 2 "--resume is not given on rank 0, given on rank 1" x --resume
rank1 2 "rank 0 lacks --print-config, which another rank has" x --print-config
rank1 2 "rank 0 lacks --help, which another rank has" x --help
rank1 2 "train has no option --helpp" x --helpp
rank1 2 'no key "optim.lrr"' x optim.lrr=1
rank1 2 'none.h5: no such shard' x data.train=none.h5
set=RETORT_CPU=ref rank1 2 "kernels (RETORT_CPU, RETORT_GEMM, OPENBLAS_CORETYPE) is " x
set=RETORT_GEMM=openblas RETORT_GEMM=own rank1 2 "gemm: own (" x
[ "$(uname -m)" != x86_64 ] || set=OPENBLAS_CORETYPE=Nehalem RETORT_GEMM=openblas OPENBLAS_CORETYPE=Prescott rank1 2 "Prescott on rank 0, " x
set=RETORT_CPU=none rank1 2 "RETORT_CPU=none" x
[ ! -e x ] || fail "ranks that did not agree left a folder"

# Rank 0 speaks for all, and the others wait with their end until it has: here it writes to a reader who comes late.
cat >slow <<'SH'
#!/bin/sh
[ "$OMPI_COMM_WORLD_RANK" = 0 ] || exec sh rank x optim.lr=2e-3
{ head -c 65536 /dev/zero >&2; exec sh rank x; } 2>"$dir/said.0"
SH
rm -f said.?
mkfifo said.0
{ sleep 3; tr -d '\0'; } <said.0 >late &
ends 2 mpirun -n 2 sh slow
wait $!
mv late said.0
said "optim.lr is 0.001 on rank 0, 0.002 on rank 1"

# All ranks ask for help: one text.
good mpirun -n 2 "$RETORT" train --help
[ "$(grep -c '^usage: retort train' out)" = 1 ] || fail "help: $(cat out)"

# The same content under another path is the same; a checkpoint that one rank does not see, or sees another, is not.
good mpirun -n 2 sh rank same data.train=copy.h5
resumed() { # WORDS
    sed 's/"steps":2/"steps":3/' config.json >longer && mv longer config.json
    sed -i 's/--threads 1/--threads 1 --resume/' rank
    cd=elsewhere rank1 2 "$1" same
}
resumed "newest checkpoint is same/step-00000002 on rank 0, missing (there is none in same) on rank 1"
cp -r same elsewhere/same
echo " " >>elsewhere/same/step-00000002/manifest.json
cd=elsewhere rank1 2 "checkpoint is same/step-00000002/manifest.json (SHA-256 " same
rm -r elsewhere/same
cp -r same elsewhere/same # the same manifest, but other weights
printf X | dd of=elsewhere/same/step-00000002/state-000-of-001.h5 bs=1 seek=3000 conv=notrunc 2>/dev/null
cd=elsewhere rank1 2 "same/step-00000002 is damaged: state-000-of-001.h5 has SHA-256 " same
good mpirun -n 2 sh rank same
echo "given: good"
