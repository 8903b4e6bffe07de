#!/usr/bin/env bash
# One tokenizer, matrices padded to different sizes: every way from such a teacher to such a student works. Another tokenizer is refused.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
export OMP_NUM_THREADS=1
cd "$dir"
for i in $(seq 60); do echo "the vessel number $i holds the wine"; done >text.txt
sed 's/wine/kettle/' text.txt >text2.txt
echo '{"model":{"C":32,"L":1,"H":2,"KV":1,"D":16,"F":32,"context":48},"data":{"seq":48},"steps":3,"schedule":{"kind":"constant"},"dtype":"f32"}' >config.json
good "$RETORT" tokenizer train text.txt --vocab 300 --out tok
good "$RETORT" tokenizer train text2.txt --vocab 300 --out tok2
good "$RETORT" data import text.txt --tokenizer tok --out text.h5
good "$RETORT" data import text2.txt --tokenizer tok2 --out text2.h5
train=("$RETORT" train config.json --set model.tokenizer=tok)
for size in 300 310 320; do good "${train[@]}" data.train=text.h5 model.V=$size seed=$size out=m$size; done
good "$RETORT" train config.json --set model.tokenizer=tok2 data.train=text2.h5 out=other

number() { # NAME: of the JSON line in out, a number
    field "$1" <out | grep -E '^[0-9.]+(e-[0-9]+)?$' || fail "$1 is no number: $(cat out)"
}
for pair in '320 310' '310 320'; do
    read -r t s <<<"$pair"
    teacher=m$t/latest student=m$s/latest
    echo '{"model":{"init":"'$student'"},"data":{"seq":48},"steps":1,"optim":{"lr":1e-9},"batch":{"sequences":60,"micro":60},"dtype":"f32"}' >from$s.json
    # --k: untrained models spread their probability over padded rows too, so entries and samples lie there
    good "$RETORT" score --model $teacher --shards text.h5 --k 4 --m 8 --out soft$t.h5
    good "$RETORT" score --model $teacher --shards text.h5 --out coded$t.h5
    good "$RETORT" eval $student --shards text.h5 --teacher $teacher --json
    kl=$(number kl)
    good "$RETORT" eval $student --shards soft$t.h5 --json
    number kl_topk >/dev/null
    good "$RETORT" train from$s.json --json --set data.train=text.h5 teacher.model=$teacher objective.ce_weight=0 data.pack=false out=whole$t
    awk "BEGIN { d = $(number kl) - $kl; exit d > 1e-5 || d < -1e-5 }" || fail "kl is $(number kl) in training, $kl in eval"
    for shard in soft$t coded$t; do
        good "$RETORT" train from$s.json --json --set data.train=$shard.h5 data.valid=$shard.h5 out=$shard
        number kl >/dev/null
    done
    [ "$t" -gt "$s" ] || continue
    for kind in tail tail-token onehot residual renorm renorm-both truncated; do
        good "$RETORT" train from$s.json --json --set data.train=soft$t.h5 objective.kind=$kind out=$kind$t
    done
    for kind in sampled reverse jsd; do
        good "$RETORT" train from$s.json --json --set data.train=text.h5 teacher.model=$teacher objective.kind=$kind out=$kind$t
        number loss >/dev/null
    done
    good "$RETORT" plan from$s.json --set data.train=text.h5 teacher.model=$teacher
done

# Rows of whose stored ids the student has none have no divergence: they are left out of the means, which is said where they are many.
good "${train[@]}" data.train=text.h5 model.V=900 steps=1 optim.lr=1e-9 out=m900
good "$RETORT" score --model m900/latest --shards text.h5 --k 1 --m 0 --out one.h5
good "$RETORT" eval m300/latest --shards one.h5 --json
kl=$(number kl_topk)
[[ $(cat err) =~ in\ ([0-9]+)\ of\ ([0-9]+)\ rows\ the\ model ]] || fail "nothing of rows without an id: $(cat err)"
awk "BEGIN { exit !(${BASH_REMATCH[1]} > 0.1 * ${BASH_REMATCH[2]} && ${BASH_REMATCH[1]} < 0.9 * ${BASH_REMATCH[2]}) }" || fail "${BASH_REMATCH[0]}: expected some of them"
good "$RETORT" train from310.json --json --set model.init=m300/latest data.train=one.h5 data.valid=one.h5 data.pack=false objective.kind=tail out=one
grep -q '% of the rows the student.s vocabulary .* has none of the stored ids' err || fail "train says nothing of rows without an id: $(cat err)"
awk "BEGIN { d = $(number kl) - $kl; exit d > 1e-5 || d < -1e-5 }" || fail "kl is $(number kl) in training, $kl in eval"

# Text and soft shards of one tokenizer are of one vocabulary, whatever their teacher's matrix.
good "${train[@]}" data.train='["soft320.h5","text.h5"]' objective.kind=ce model.V=300 out=both
# A student too small for the tokenizer, and another tokenizer whose matrices happen to fit.
expect 2 'model.V is 290, but the shards have 300 ids' "${train[@]}" data.train=soft320.h5 model.V=290 out=x
expect 2 'token ids stand for different text' "$RETORT" eval m300/latest --shards text.h5 --teacher other/latest
expect 2 'teacher.model other/latest has tokenizer' "${train[@]}" data.train=text.h5 teacher.model=other/latest out=x
