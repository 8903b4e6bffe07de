#!/usr/bin/env bash
# A new model of every family trains and is read back; a teacher in process computes what the student of the same weights computes.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
export OMP_NUM_THREADS=1
teacher=$SOURCE_DIR/experiments/teacher/model
cd "$dir"
for i in $(seq 12); do echo "(noun): a vessel $i for wine, of glass or clay"; done >text.txt
good "$RETORT" data import text.txt --tokenizer "$teacher" --max-doc 32 --out text.h5
echo '{"model": {"C": 32, "L": 2, "H": 4, "KV": 2, "D": 8, "F": 48, "context": 32}, "data": {"seq": 32}, "batch": {"sequences": 2}}' >new.json
begin() { # NAME SETTING...: a run of two steps
    local run=$1
    shift
    good "$RETORT" train new.json --json --set out="$run" data.train=text.h5 model.tokenizer="$teacher" steps=2 dtype=f32 "$@"
}
for family in llama mistral phi3 qwen2 qwen3 gemma2 gemma3_text smollm3 olmo2 granite; do
    begin "$family" model.family="$family"
    good "$RETORT" eval "$family/latest" --shards text.h5 --json
    good "$RETORT" generate "$family/latest" --prompt '(noun): a' --max-tokens 4
done

# Caps and a scale that only config.json can give.
sed -i 's/"final_logit_softcapping": null/"final_logit_softcapping": 0.5/; s/"attn_logit_softcapping": null/"attn_logit_softcapping": 0.2/' gemma2/latest/config.json
grep -q '"final_logit_softcapping": 0.5' gemma2/latest/config.json || fail "gemma2's config.json has no caps"
begin same model.init=gemma2/latest teacher.model=gemma2/latest objective.kind=kl objective.ce_weight=0
kl=$(grep -m1 "\"kl\":" out | field kl)
awk -v kl="$kl" 'BEGIN {exit !(kl != "" && kl < 1e-6 && kl > -1e-6)}' || fail "a student of the teacher's weights has a divergence of $kl"
expect_last 2 "caps its logits" "$RETORT" score --model gemma2/latest --shards text.h5 --codec 4 --out soft.h5
