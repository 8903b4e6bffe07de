#!/usr/bin/env bash
# cmake --install: the tree below a prefix works away from the sources, and still after it was moved.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
cmake=/usr/bin/cmake
[ -x $cmake ] || cmake=cmake
$cmake --install "$(dirname "$RETORT")" --prefix "$dir/one" >"$dir/log" || fail "$(cat "$dir/log")"
mv "$dir/one" "$dir/two"
share=$dir/two/share
for file in retort/configs man/man1/retort.1 bash-completion/completions/retort zsh/site-functions/_retort fish/vendor_completions.d/retort.fish \
    doc/retort/LICENSE doc/retort/NOTICE doc/retort/FORMAT.md doc/retort/docs/objectives.md; do
    [ -e "$share/$file" ] || fail "share/$file is not installed"
done
cd /
env -i "$dir/two/bin/retort" --version | grep -q '^retort ' || fail "the installed program does not run"
env -i PATH=/usr/bin:/bin OMPI_COMM_WORLD_SIZE=1 "$dir/two/bin/retort" doctor --quick >"$dir/doctor"
grep -q "^good  share  *$share/retort\$" "$dir/doctor" || fail "the installed program does not find its share folder: $(cat "$dir/doctor")"
[ -d "$SOURCE_DIR/experiments/teacher/model" ] || exit 0
cmp "$SOURCE_DIR/experiments/teacher/model/model.safetensors" "$share/retort/teacher/model.safetensors"
env -i "$dir/two/bin/retort" generate "$share/retort/teacher" --prompt 'volcano (noun):' --max-tokens 8 --json | grep -q '"ids"' ||
    fail "the installed teacher does not generate"

# What comes with the program is found by @share/, and a shipped configuration names only files that are there.
cd "$dir"
env -i "$dir/two/bin/retort" plan @share/configs/student-distil.json --json | grep -q '"parameters":698016' || fail "the installed configuration cannot be planned"
printf 'a text\nanother text\n' >"$dir/text.txt"
env -i "$dir/two/bin/retort" data import text.txt --tokenizer @share/teacher --out text.h5 >/dev/null 2>&1 || fail "no @share/teacher"
env -i "$dir/two/bin/retort" train @share/configs/student-distil.json --set data.train=text.h5 objective.kind=ce steps=1 schedule.warmup=0 schedule.decay=0 \
    >/dev/null 2>"$dir/err" || fail "the installed configuration does not train: $(cat "$dir/err")"
[ -f "$dir/out/latest/tokenizer.json" ] || fail "the checkpoint has no tokenizer"
