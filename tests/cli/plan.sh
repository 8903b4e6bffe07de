#!/usr/bin/env bash
# retort plan and bench: what a run will need, what to do when it does not fit, and a toy's steps.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
cat >"$dir/c.json" <<'JSON'
{"model": {"V": 8192, "C": 384, "L": 6, "H": 6, "KV": 2, "D": 64, "F": 1024, "context": 512},
 "data": {"train": ["none.h5"], "seq": 512}, "batch": {"sequences": 32}}
JSON
plan() { "$RETORT" plan "$dir/c.json" --json "$@"; }

# Parameters, work, and memory that follows the settings.
json=$(plan)
[ "$(field parameters <<<"$json")" = 12587904 ] || fail "parameters: $json"
[ "$(field flops <<<"$json")" = 1.35291e+12 ] || fail "6 a weight and token, and half of attention: $json"
all=$(field activations <<<"$json") quarter=$(plan --set batch.micro=8 | field activations) again=$(plan --set recompute=true | field activations)
[ $((quarter * 3)) -lt "$all" ] || fail "a quarter of the sequences at once needs $quarter of $all bytes"
[ $((again * 2)) -lt "$all" ] || fail "recompute needs $again of $all bytes"
[ "$(plan --ranks 4 | field activations)" = "$quarter" ] || fail "four ranks hold a quarter each"
"$RETORT" plan "$dir/c.json" --graph >"$dir/graph"
grep -q 'backward head' "$dir/graph" || fail "no backward step of the head in the schedule"
grep -q '^ head       work' "$dir/graph" || fail "no work space of the head among the buffers"
awk -f "$SOURCE_DIR/docs/arena.awk" "$dir/graph" | grep -q '</svg>' || fail "no picture"

# A teacher in process: its weights and activations, and its logits beside the student's.
teacher=$SOURCE_DIR/experiments/teacher/model small=(data.seq=128 model.V=4096)
json=$(plan --set "${small[@]}" teacher.model="$teacher") alone=$(plan --set "${small[@]}")
[ "$(field teacher <<<"$json")" -gt 5600000 ] && [ "$(field teacher <<<"$alone")" = 0 ] || fail "the teacher's bytes: $json"
head_of() { field "head's block of logits" <<<"$1"; }
[ "$(head_of "$json")" -gt $(($(head_of "$alone") * 17 / 10)) ] && [ "$(head_of "$json")" -lt 134217728 ] || fail "both logits' block: $json $alone"
for kind in sampled kl ce; do plan --set objective.kind=$kind >"$dir/out" || fail "$kind cannot be planned without shards"; done
# Encoded states: their decoder stands for the teacher, as wide as what an encoded state decodes to.
json=$(plan --set model.V=4096 objective.kind=kl)
[ "$(field teacher <<<"$json")" = $((4096 * 513 * 2)) ] || fail "the decoder's bytes: $json"
[ "$(field objective <<<"$json")" = "kl from encoded hidden states of 64 bytes" ] || fail "what is learnt: $json" # its value goes on after a comma
twice=$(plan --set model.V=4096 objective.kind=kl data.valid=none.h5 | field teacher)
[ "$twice" = $((2 * 4096 * 513 * 2)) ] || fail "with validation there are two decoders: $twice"
"$RETORT" plan "$dir/c.json" --set model.V=0 2>"$dir/err" && fail "a vocabulary out of nowhere"
grep -q 'none.h5' "$dir/err" || fail "$(cat "$dir/err")"

# What does not fit is said, with exit code 4; ranks of one machine share its memory.
large=(--set data.seq=2048 model.context=2048 model.V=262144 model.C=65536 model.D=256 model.H=256 model.F=65536)
"$RETORT" plan "$dir/c.json" "${large[@]}" >"$dir/out" 2>"$dir/err" && fail "a model of a terabyte fits"
[ "$("$RETORT" plan "$dir/c.json" --json "${large[@]}" 2>/dev/null | grep -o '"fits":[a-z]*'; echo "${PIPESTATUS[0]}")" = $'"fits":false\n4' ] || fail "not exit code 4"
grep -q 'does not fit' "$dir/err" && grep -q 'in all' "$dir/out" || fail "neither said nor shown: $(cat "$dir/err")"

# Paths of a configuration are relative to its file; the vocabulary is the tokenizer's where no shard is there.
mkdir "$dir/sub" && ln -s "$teacher" "$dir/sub/tok"
echo '{"model": {"tokenizer": "tok"}, "data": {"train": ["none.h5"]}}' >"$dir/sub/c.json"
(cd / && "$RETORT" plan "$dir/sub/c.json" --json) | grep -q '"parameters":698016' || fail "the tokenizer beside the configuration was not found"
"$RETORT" train "$dir/sub/c.json" 2>"$dir/err" && fail "a shard out of nowhere"
grep -q "$dir/sub/none.h5" "$dir/err" || fail "not looked for beside the configuration: $(cat "$dir/err")"
expect 2 'names no shard' "$RETORT" train @share/configs/student-distil.json

# Real steps of a toy, whose memory the plan knew.
json=$("$RETORT" bench step --preset XS --steps 3 --warmup 1 --threads 1 --json)
for key in tok_s gflops sgemm_gflops products_share rss_mb minor_faults idle; do
    [ -n "$(field $key <<<"$json")" ] || fail "bench step: no $key in $json"
done
for objective in tail-token kl; do
    json=$("$RETORT" bench step --preset XS --objective $objective --steps 3 --warmup 1 --threads 1 --json)
    for key in step_ratio head_ratio teacher_ms; do [ -n "$(field $key <<<"$json")" ] || fail "bench step --objective: no $key in $json"; done
done
good "$RETORT" bench products --json --threads 1 # an older name of bench gemm
[ -n "$(field own_gflops <"$dir/out")" ] || fail "bench products: $(cat "$dir/out")"
grep -qx "retort: 'bench products' is now called 'bench gemm'; version 0.3 will no longer accept the old name" "$dir/err" || fail "bench products: $(cat "$dir/err")"
"$RETORT" bench step --preset XXL 2>"$dir/err" && fail "a preset that is none"
grep -q 'expected XS, S or M' "$dir/err" || fail "$(cat "$dir/err")"

# What does not fit says so before its first step, with a setting that fits. (A sanitizer needs more address space than any limit.)
[ "$(nm -D "$RETORT" | grep -c __asan_init)" = 0 ] || { echo "plan: good, without limits" && exit 0; }
too_big() { # KB PRESET WORDS...: with so much address space the bench ends with 4 and these words
    local kb=$1 preset=$2 got=0
    shift 2
    (ulimit -v "$kb" && "$RETORT" bench step --preset "$preset" --set batch.sequences=64 --threads 1 --steps 1) >/dev/null 2>"$dir/err" || got=$?
    [ $got = 4 ] || fail "$kb kB: exit code $got: $(cat "$dir/err")"
    grep -qF -- "$*" "$dir/err" || fail "$kb kB: '$*' is not in: $(cat "$dir/err")"
}
too_big 1200000 S "with --set batch.micro=1 it needs 0."
too_big 1200000 M "make the model smaller (it has 100 million parameters)"
echo "plan: good"
