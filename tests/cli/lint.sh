#!/usr/bin/env bash
# The lints themselves: each finds what it is there for, in a copy of the tree with one thing wrong.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
command -v python3 >/dev/null || { echo "skipped: python3 is not installed (./run setup dev)" && exit 77; }
lint=$SOURCE_DIR/tests/lint
layers() { python3 "$lint/check_layers.py" "$dir/tree" >"$dir/out"; }
words() { python3 "$lint/check_words.py" "$dir/tree" >"$dir/out"; }

python3 "$lint/check_layers.py" "$SOURCE_DIR" || fail "the tree itself breaks the folder order"
mkdir -p "$dir/tree/core" "$dir/tree/kernels" "$dir/tree/data" "$dir/tree/teacher" "$dir/tree/train"

# try FILE LINE WORDS: this line in this file is found, and WORDS say what is wrong.
try() {
    layers || fail "a clean tree is refused: $(cat "$dir/out")"
    echo "$2" >"$dir/tree/$1"
    ! layers || fail "$1 may hold '$2'?"
    grep -q "^$1:1: .*$3" "$dir/out" || fail "expected '$3', found: $(cat "$dir/out")"
    rm "$dir/tree/$1"
}
try core/a.c '#include "kernels/kernels.h"' 'core/ may not include kernels/kernels.h'
try data/a.c '#include "teacher/teacher.h"' 'data/ may not include'
try teacher/a.c '#include "data/shard/columns.h"' 'private to data/'
try train/a.c '#include <hdf5.h>' 'belongs to data/'
try train/step.c '#  include <mpi.h>' 'belongs to train/comm_mpi.c'
try kernels/a.c '#include <cblas.h>' 'belongs to kernels/blas.c'
try kernels/a.c '#include <omp.h>' 'belongs to core/threads.c'
try data/a.c '#include <curl/curl.h>' 'belongs to teacher/'
try teacher/a.c '#include <microhttpd.h>' 'belongs to serve/'

printf 'static int take(int x)\n{\n    return x;\n}\n' >"$dir/tree/core/a.c"
python3 "$lint/check_names.py" "$dir/tree" >"$dir/out" || fail "one static function is refused: $(cat "$dir/out")"
printf 'static const char *take(void)\n{\n    return "";\n}\n' >"$dir/tree/data/b.c"
! python3 "$lint/check_names.py" "$dir/tree" >"$dir/out" || fail "two static functions of one name pass"
grep -q '^take: .*core/a.c, data/b.c' "$dir/out" || fail "expected both files, found: $(cat "$dir/out")"
rm "$dir/tree/core/a.c" "$dir/tree/data/b.c"

git -C "$dir/tree" init -q
words || fail "a clean tree is refused: $(cat "$dir/out")"
echo "/* TO""DO: later */" >"$dir/tree/core/a.c"
! words || fail "unfinished work is not found"
echo "/* see /ho""me/somebody/notes */" >"$dir/tree/core/a.c"
! words || fail "a path of one machine is not found"
rm "$dir/tree/core/a.c"
# retired FILE BAD GOOD: the first line is found in this file, the second, where the term is a name, is not.
retired() {
    echo "$2" >"$dir/tree/$1"
    ! words || fail "$1 may hold the retired term of '$2'?"
    echo "$3" >"$dir/tree/$1"
    words || fail "a name is taken for a retired term: $(cat "$dir/out")"
    rm "$dir/tree/$1"
}
mkdir "$dir/tree/configs"
retired core/a.c 'int old_sk''etch; /* "a quoted name" */' 'char *name = "/sketch";'
retired configs/a.json '// of its sk''etches' '{"sketch": 1}'
retired core/a.sh 'fail "no sk''etches are there"' 'score --sketch 8 --out "$dir/sketch.h5" | grep -q "sketch_loss"'

if command -v gcc >/dev/null; then
    printf 'int f(int x);\nint f(int x) { long y = x; return y; }\n' >"$dir/tree/core/a.c"
    echo '[{"directory":"'"$dir/tree"'","command":"cc -Wconversion -O3 -o a.o -c core/a.c","file":"core/a.c"}]' >"$dir/commands.json"
    ! python3 "$lint/check_warnings.py" gcc "$dir/commands.json" >"$dir/out" || fail "a warning passes"
    grep -q conversion "$dir/out" || fail "expected a conversion warning, found: $(cat "$dir/out")"
fi
