#!/usr/bin/env bash
# A student's first weights: random of a wanted size, and out of a teacher under a trimmed tokenizer, which then trains, runs and is exported.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
export OMP_NUM_THREADS=1
teacher=$SOURCE_DIR/experiments/teacher/model
cd "$dir"
for i in $(seq 12); do echo "(noun): a vessel $i for wine, of glass or clay"; done >text.txt
good "$RETORT" data import text.txt --tokenizer "$teacher" --max-doc 32 --out text.h5
good "$RETORT" score --model "$teacher" --shards text.h5 --k 8 --m 4 --out soft.h5

# A trimmed tokenizer, and the shard under its ids.
good "$RETORT" tokenizer trim "$teacher" text.h5 --out small
expect_last 2 "exists" "$RETORT" tokenizer trim "$teacher" text.h5 --out small
good "$RETORT" tokenizer trim "$teacher" text.txt --out again
cmp small/tokenizer.json again/tokenizer.json || fail "the shard and its text give different tokenizers"
good "$RETORT" data remap soft.h5 --former "$teacher" --tokenizer small --out soft-small.h5
good "$RETORT" data verify soft-small.h5
good "$RETORT" data export soft-small.h5 --tokenizer small --out small.jsonl
good "$RETORT" data export soft.h5 --tokenizer "$teacher" --out large.jsonl
python3 - <<'PYTHON' || fail "the remapped shard holds another text"
import json
a, b = ([json.loads(l)["text"] for l in open(f)] for f in ("small.jsonl", "large.jsonl"))
assert a == b and len(a) == 12
PYTHON
expect_last 2 "another tokenizer than the former one" "$RETORT" data remap soft.h5 --former small --tokenizer small --out x.h5
expect_last 2 "expected one that 'retort tokenizer trim' made" "$RETORT" data remap soft-small.h5 --former small --tokenizer "$teacher" --out x.h5

# First weights out of the teacher.
good "$RETORT" init --from "$teacher" --tokenizer small --layers 3 --ffn 256 --heads 3 --width 160 --shards soft-small.h5 --tokens 100 --out student --json
[ "$(field L <out)$(field F <out)$(field C <out)" = 3256160 ] || fail "init printed other sizes: $(cat out)"
good "$RETORT" eval student --shards soft-small.h5 --json
before=$(field ce <out)
echo '{}' >run.json
good "$RETORT" train run.json --json --set out=run model.init=student model.context=128 data.train=soft-small.h5 data.seq=32 batch.sequences=4 steps=30 dtype=f32 optim.lr=0.002
good "$RETORT" eval run/latest --shards soft-small.h5 --json
awk -v a="$before" -v b="$(field ce <out)" 'BEGIN {exit !(b < a - 0.5)}' || fail "training did not lower the loss from $before: $(cat out)"
good "$RETORT" generate run/latest --prompt '(noun): a' --max-tokens 4
good "$RETORT" export run/latest --gguf student.gguf --type f32
good "$RETORT" init --from run/latest --out same
good "$RETORT" model diff run/latest same

# A new model of a wanted size.
good "$RETORT" init --params 2M --tokenizer small --out new --seed 1 --json
n=$(field parameters <out)
[ "$n" -gt 1800000 ] && [ "$n" -lt 2100000 ] || fail "init --params 2M made $n parameters"
good "$RETORT" eval new --shards soft-small.h5

# What init refuses.
expect_last 2 "either --params N" "$RETORT" init --out x
expect_last 2 "either --params N" "$RETORT" init --params 2M --from new --out x
expect_last 2 "such as 10M" "$RETORT" init --params ten --tokenizer small --out x
expect_last 2 "trim the tokenizer" "$RETORT" init --params 20k --tokenizer small --out x
expect_last 2 "need --shards" "$RETORT" init --from "$teacher" --layers 2 --out x
expect_last 2 "expected 1 to 5 layers" "$RETORT" init --from "$teacher" --layers 6 --shards text.h5 --out x
expect_last 2 "in multiples of 3" "$RETORT" init --from "$teacher" --heads 4 --shards text.h5 --out x
expect_last 2 "another tokenizer" "$RETORT" init --from "$teacher" --tokenizer small --layers 2 --shards text.h5 --out x
[ ! -e x ] || fail "a refused init left a folder"
