#!/usr/bin/env bash
# A run's folder: one run at a time, nothing of an earlier run lost or passed over without a word.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
export OMP_NUM_THREADS=1
cd "$dir"
for i in $(seq 200); do echo "text $i of the vessel and the wine"; done >text.txt
echo '{"model":{"C":16,"L":1,"H":2,"KV":1,"D":8,"F":32,"context":32},"data":{"seq":32},"steps":4,"checkpoint":{"every":2},"schedule":{"kind":"constant"}}' >config.json
good "$RETORT" tokenizer train text.txt --vocab 300 --out tok
good "$RETORT" data import text.txt --tokenizer tok --out text.h5
sed 's/wine/oil/' text.txt >other.txt
good "$RETORT" data import other.txt --tokenizer tok --out other.h5
# train OUT WORDS...
cat >train <<'SH'
#!/bin/sh
out=$1
shift
exec "$RETORT" train config.json --set model.tokenizer=tok data.train=text.h5 out="$out" "$@"
SH
chmod +x train
PATH=$dir:$PATH
lines() { wc -l <"$1"; }
break_weights() { printf X | dd of="$1/model.safetensors" bs=1 seek=3000 conv=notrunc 2>/dev/null; }

# A second run in the same folder is refused before it writes, by a line that names the first.
train two --set steps=1000000 checkpoint.every=1000000 >first 2>&1 &
first=$!
for _ in $(seq 200); do [ ! -s two/metrics.jsonl ] || break; sleep 0.05; done
expect 2 "two is in use by another run (process $first on $(hostname)" train two --set seed=2
expect 2 "two is in use by another run (process $first on" train two --resume
kill -9 $first
wait $first 2>/dev/null || true
[ "$(grep -vc '^{"step":.*}$' two/metrics.jsonl)" -le 1 ] || fail "lines of two runs: $(cat two/metrics.jsonl)"

# The killed run left no checkpoint: begun anew only on request, and its metrics are kept.
had=$(lines two/metrics.jsonl)
expect 2 "two holds a run that ended before its first checkpoint" train two
[ "$(lines two/metrics.jsonl)" = "$had" ] || fail "a refused run touched the metrics"
good train two --resume
grep -q 'two holds no checkpoint; starting at step 1' err || fail "nothing is said about the step: $(cat err)"
[ "$(lines two/metrics.jsonl)" = 4 ] && [ "$(lines two/metrics.lost.jsonl)" -ge "$had" ] || fail "metrics of the killed run are lost"
[ ! -e two/.lock ] || fail "the lock's file stays"

# Steps after the checkpoint: their lines go aside, the new ones stand once.
good train short
rm -r short/step-00000004
expect 2 "short holds a run of 2 steps; continue it with --resume" train short
good train short --resume
grep -q 'continuing from step 2 of 4$' out || fail "nothing is said about the step: $(cat out)"
[ "$(sed 's/.*"step":\([0-9]*\).*/\1/' short/metrics.jsonl | tr '\n' ' ')" = "1 2 3 4 " ] || fail "metrics: $(cat short/metrics.jsonl)"
[ "$(sed 's/.*"step":\([0-9]*\).*/\1/' short/metrics.lost.jsonl | tr '\n' ' ')" = "3 4 " ] || fail "lost: $(cat short/metrics.lost.jsonl)"

# A damaged checkpoint: told from none, never overwritten, and what is wrong with it is said.
break_weights short/step-00000004
cp -r short both
expect 2 "short holds a run of 2 steps" train short
good train short --resume --set steps=5
grep -q 'short/step-00000004 is damaged: model.safetensors has SHA-256 .*; continuing from step 2' err || fail "nothing is said about it: $(cat err)"
[ -d short/step-00000004.damaged ] && [ -d short/step-00000005 ] && [ -d short/step-00000004 ] || fail "checkpoints: $(ls short)"
break_weights both/step-00000002
before=$(find both -type f -exec sha256sum {} + | sort)
for ask in "" --resume; do # shellcheck disable=SC2086 # a word or none
    expect 2 "both holds a run, but no complete checkpoint: both/step-00000004 is damaged" train both $ask
done
[ "$(find both -type f -exec sha256sum {} + | sort)" = "$before" ] || fail "a refused run changed the folder"
# --force removes what a run made: what only has such a name stops it before anything is removed, or stays.
held() { (cd both && find . -type f -exec sha256sum {} + | sort); }
echo mine >both/step-by-step.txt
before=$(held)
for stranger in best/a step-00000009/notes.txt step-00000009/int4/config.json step-00000004/notes.txt; do
    mkdir -p "both/$(dirname "$stranger")" && echo mine >"both/$stranger"
    expect_last 2 "--force does not remove it; move it to another folder" train both --force --set steps=3
    rm "both/$stranger" && rmdir "both/$(dirname "$stranger")" 2>/dev/null || true
    rmdir both/step-00000009 2>/dev/null || true
    [ "$(held)" = "$before" ] || fail "--force was refused for $stranger, and yet changed the folder"
done
mv both/metrics.jsonl kept.jsonl && echo '{"epoch":1}' >both/metrics.jsonl
expect_last 2 "both/metrics.jsonl does not hold the metrics of a run, so --force does not remove it" train both --force --set steps=3
mv kept.jsonl both/metrics.jsonl
good train both --force --set steps=3
[ "$(cat both/step-by-step.txt)" = mine ] || fail "--force removed a file that no run made"
[ "$(lines both/metrics.jsonl)" = 3 ] && [ ! -e both/step-00000004 ] || fail "not begun anew: $(ls both)"
expect 2 "choose one" train both --force --resume

# Metrics that are gone: said, and never filled with zeros.
truncate -s 10 both/metrics.jsonl
good train both --resume --set steps=4
grep -q 'metrics of earlier steps are missing' err || fail "nothing is said about missing metrics: $(cat err)"
[ "$(tr -d '\n' <both/metrics.jsonl | tr -dc '\0' | wc -c)" = 0 ] || fail "zeros in the metrics"

# A checkpoint that cannot be written, here for the limit of a file's size: the error says what is left, and no half of it stays.
good train limited --set steps=2
ends 4 bash -c 'ulimit -f 40 && exec train limited --resume --set steps=4'
grep -q 'limited/step-00000004.tmp/.*: cannot write .*; the last checkpoint is limited/step-00000002, continue with --resume' err || fail "what is left is not said: $(cat err)"
[ ! -e limited/step-00000004.tmp ] || fail "a half stays"
mkdir limited/step-00000009.tmp
good train limited --resume --set steps=2
[ ! -e limited/step-00000009.tmp ] || fail "a half of a killed run stays"

# --force removes a run and nothing of the user's; an interrupt before its first step says what is gone.
good train mine --set steps=2
cp -r mine/step-00000002 mine/step-00000002-kept
cp -r mine/step-00000002 mine/step-00000001.damaged.2
mkdir mine/step-00000003.tmp mine/step-00000003.tmp.mine
echo notes >mine/step-by-step.txt
good train mine --force --set steps=1
[ "$(ls mine | tr '\n' ' ')" = "latest metrics.jsonl step-00000001 step-00000002-kept step-00000003.tmp.mine step-by-step.txt " ] || fail "--force leaves: $(ls mine)"

# early WORDS OUT...: SIGTERM in the first step, which is long; the error says WORDS.
early() {
    local words=$1 code=0
    shift
    rm -f out err
    "$dir/train" "$@" batch.sequences=4000 batch.micro=8 steps=9 >out 2>err &
    first=$!
    for _ in $(seq 400); do [ ! -s out ] || break; sleep 0.05; done
    kill -TERM $first
    wait $first || code=$?
    [ $code = 130 ] && grep -qF "$words" err || fail "exit $code, '$words' is not in: $(cat err)"
}
early "interrupted before a step after step 1 of 9 was completed; the checkpoint is still mine/step-00000001, continue with --resume" mine --resume --change batch.sequences --set
early "interrupted before the first step; the earlier run was removed because of --force" mine --force --set
early "interrupted before the first step; nothing was done" fresh --set
good train mine --force --set steps=1

# A copy that followed links is refused before the first step, with what to do.
cp -rL mine copied
expect 2 "copied/latest is not a link to a checkpoint, as in a copy that followed links (cp -rL); remove or rename it" train copied --resume --set steps=2
rm -r copied/latest
good train copied --resume --set steps=2

# Each damaged checkpoint is named, none that was set aside before is replaced, and such a folder holds something.
good train torn --set steps=6 checkpoint.keep=3
break_weights torn/step-00000006
rm torn/step-00000004/model.safetensors
good train torn --resume --set steps=6 checkpoint.keep=3
grep -q 'torn/step-00000006 is damaged: model.safetensors has .*; torn/step-00000004 is damaged: .*; continuing from step 2' err || fail "not each is named: $(cat err)"
break_weights torn/step-00000006
good train torn --resume --set steps=6 checkpoint.keep=3
[ -d torn/step-00000006.damaged ] && [ -d torn/step-00000006.damaged.2 ] || fail "what was set aside is replaced: $(ls torn)"
rm -r torn/step-0000000[246]
for ask in "" --resume; do # shellcheck disable=SC2086 # a word or none
    expect 2 "torn holds a run whose only checkpoints are 3 that were set aside as damaged" train torn $ask
done

# Metrics are cut between lines, by the step that each names: whatever was cut off, put in front or damaged, no two lines are glued and none is lost.
steps_of() { sed -n 's/^{.*"step":\([0-9]*\),.*}$/\1/p' "$1" | tr '\n' ' '; }
good train logged
cp -r logged front && cp -r logged middle
truncate -s -40 logged/metrics.jsonl
good train logged --resume --set steps=6
[ "$(steps_of logged/metrics.jsonl)" = "1 2 3 5 6 " ] && [ "$(lines logged/metrics.jsonl)" = 5 ] || fail "glued: $(cat logged/metrics.jsonl)"
grep -q 'logged/metrics.jsonl: 1 lines that are truncated or not JSON are now in metrics.lost.jsonl' err || fail "$(cat err)"
grep -q 'lines of 3 of the 4 steps of the checkpoint: metrics of earlier steps are missing' err || fail "$(cat err)"
grep -q '^{"step":4,.*[^}]$' logged/metrics.lost.jsonl || fail "the cut line is lost"
sed -i '1i{"note":"a line of the user, which is longer than nothing"}' front/metrics.jsonl
good train front --resume --set steps=6
[ "$(steps_of front/metrics.jsonl)" = "1 2 3 4 5 6 " ] && [ "$(lines front/metrics.jsonl)" = 7 ] && [ ! -e front/metrics.lost.jsonl ] || fail "front: $(cat front/metrics.jsonl err)"
sed -i '2s/.*/\x00\x00\x00\x00/' middle/metrics.jsonl
expect 2 "middle/metrics.jsonl:2: expected a JSON object, found a NUL byte" "$RETORT" report middle
good train middle --resume --set steps=6
[ "$(steps_of middle/metrics.jsonl)" = "1 3 4 5 6 " ] && [ "$(lines middle/metrics.jsonl)" = 5 ] || fail "middle: $(cat middle/metrics.jsonl)"
good "$RETORT" report middle

# --resume with another configuration: another run is refused with both values unless each key is named; what is harmless is noted.
good train base --set schedule.kind=wsd schedule.decay=2 steps=6
rm -r base/step-00000006
before=$(find base -type f -exec sha256sum {} + | sort)
go=(train base --resume --set schedule.kind=wsd schedule.decay=2 steps=6)
while IFS='|' read -r change words; do
    expect 2 "base/step-00000004 cannot be continued, because these values change the results of the run: $words" "${go[@]}" "$change"
done <<'LIST'
optim.lr=2e-3|optim.lr (0.001 in the checkpoint, now 0.002)
seed=3|seed (0 in the checkpoint, now 3)
batch.sequences=4|batch.sequences (8 in the checkpoint, now 4)
data.seq=16|data.seq (32 in the checkpoint, now 16)
schedule.kind=cosine|schedule.kind ("wsd" in the checkpoint, now "cosine")
objective.z_loss=1e-4|objective.z_loss (0 in the checkpoint, now 0.0001)
objective.ce_weight_end=1|objective.ce_weight_end (null in the checkpoint, now 1)
data.train=other.h5|data.train (
teacher.model=short/latest|teacher.model (null in the checkpoint, now "short/latest")
dtype=f32|dtype ("bf16" in the checkpoint, now "f32")
steps=5|steps (6 in the checkpoint, now 5)
LIST
expect 2 "with another shape: model.C (16 in the checkpoint, now 32), model.L (1 in the checkpoint, now 2)" "${go[@]}" model.C=32 model.L=2
good train wide --set model.C=32 steps=1
expect 2 'with another shape: model.init ("new" in the checkpoint, now "wide/latest")' "${go[@]}" model.init=wide/latest --change model.init
expect 2 "optim.lr (0.001 in the checkpoint, now 0.002), seed (0" "${go[@]}" optim.lr=2e-3 seed=4
expect 2 "now 4); restore" "${go[@]}" optim.lr=2e-3 seed=4 --change optim.lr
expect 2 'no key "optim.lrr"; the nearest is "optim.lr"' "${go[@]}" --change optim.lrr
expect 2 "so it requires --resume" train new --change optim.lr
[ "$(find base -type f -exec sha256sum {} + | sort)" = "$before" ] || fail "a refused run changed the folder"
cp text.h5 moved.h5
good "${go[@]}" data.train=moved.h5 steps=8 batch.micro=1 # before the decay; the same content under another path
grep -q 'continuing from base/step-00000004 with batch.micro (0 in the checkpoint, now 1), steps (6 in the checkpoint, now 8)$' err || fail "$(cat err)"
! grep -q moved err || fail "another path is told as another run: $(cat err)"
good "${go[@]}" data.train=moved.h5 steps=8
expect 2 "steps (8 in the checkpoint, now 12)" "${go[@]}" steps=12 # its decay is over
good "${go[@]}" steps=12 optim.lr=2e-3 --change steps optim.lr
good train cosine --set schedule.kind=cosine
expect 2 "steps (4 in the checkpoint, now 8)" train cosine --resume --set schedule.kind=cosine steps=8
good train moving --set objective.ce_weight_end=1
expect 2 "steps (4 in the checkpoint, now 8)" train moving --resume --set objective.ce_weight_end=1 steps=8

# On the screen: each validation and a summary; the lowest validation loss keeps its checkpoint; metrics as CSV.
good train shown data.valid=other.h5 eval.every=1 steps=6 checkpoint.every=0 checkpoint.keep=1 optim.lr=0.5
[ "$(grep -c '^train: step [1-6]: validation loss [0-9.]*, perplexity [0-9.]*$' out)" = 6 ] || fail "validations: $(cat out)"
best=$(sed -n 's/.*"step":\([0-9]*\),.*"valid_ce":\([0-9.]*\).*/\2 \1/p' shown/metrics.jsonl | sort -g | head -n 1)
[ "${best##* }" != 6 ] || fail "the test wants a run whose last step is not its best: $(cat shown/metrics.jsonl)"
grep -q "^train: shown: 6 steps; 0.00 million tokens in [0-9]* s; validation loss [0-9.]*, lowest $(printf %.4f "${best% *}") in shown/best (step ${best##* }); checkpoint shown/latest$" out || fail "summary: $(tail -n 1 out)"
[ "$(readlink shown/best)" = "step-0000000${best##* }" ] && [ -d shown/best/. ] && [ "$(find shown -maxdepth 1 -name 'step-*' | wc -l)" = 2 ] || fail "the best is not kept: $(ls -l shown)"
good train shown data.valid=other.h5 eval.every=1 steps=7 optim.lr=0.5 --resume
grep -q "in shown/best (step ${best##* })" out || fail "the best is forgotten: $(cat out)"
# Losses over other rows are not compared: another data.valid or eval.sequences forgets the best, and says so; a moved file is the same.
names() { readlink "$1/best" || echo none; } # RUN: what `best` names
tail -n 3 text.txt >few.txt
good "$RETORT" data import few.txt --tokenizer tok --out few.h5
cp other.h5 elsewhere.h5
cp -r shown again
good train again data.valid=elsewhere.h5 eval.every=1 steps=8 optim.lr=0.5 --resume
grep -q "in again/best (step ${best##* })" out && ! grep -q 'validat' err || fail "a moved file is another: $(cat out err)"
for change in data.valid=few.h5 eval.sequences=1; do
    rm -rf again && cp -r shown again
    good train again data.valid=other.h5 "$change" eval.every=1 steps=8 optim.lr=0.5 --resume
    grep -q "^retort: again: the validation data have changed: the lowest validation loss so far ($(printf %.4f "${best% *}") at step ${best##* }) is no longer compared" err || fail "$change: $(cat err)"
    [ "$(names again)" = step-00000008 ] || fail "$change: the best is $(names again)"
done

# `best` names a checkpoint that exists and is whole, and the one that the state names; else it goes, with a line.
newest=step-00000007
rm -rf again && cp -r shown again
ln -sfn $newest again/best
good train again data.valid=other.h5 eval.every=0 steps=7 optim.lr=0.5 --resume
[ "$(names again)" = "step-0000000${best##* }" ] || fail "the link is believed over the state: $(names again)"
break_weights "again/step-0000000${best##* }"
good train again data.valid=[] eval.every=0 steps=8 optim.lr=0.5 --resume
[ "$(names again)" = none ] || fail "best names a damaged checkpoint: $(names again)"
grep -q "step ${best##* }) can no longer be used: model.safetensors has SHA-256" err || fail "nothing is said of it: $(cat err)"
good train again data.valid=[] eval.every=0 steps=9 optim.lr=0.5 --resume
[ "$(names again)" = none ] || fail "best comes back: $(names again)"

# A checkpoint is what its content says: under another step's name it is damaged.
rm -rf again && cp -r shown again
mv again/$newest again/step-00000009
good train again data.valid=other.h5 eval.every=0 steps=10 optim.lr=0.5 --resume
grep -q "again/step-00000009 is damaged: manifest.json is of step 7, but the folder's name is of step 9; continuing from step [0-9]" err || fail "$(cat err)"
rm -rf again && cp -r shown again
mv again/$newest again/step--0000007
good train again data.valid=other.h5 eval.every=0 steps=10 optim.lr=0.5 --resume
grep -q "continuing from step [0-6] of 10" out || fail "step--0000007 is taken for a checkpoint: $(cat out err)"

# A validation that is due at the checkpoint's step and that its line lacks, as after an interrupt in it, is made first: metrics, `best`,
# checkpoints and summary are then those of a run that was not interrupted.
# same_as_calm TRAIN...: owed, which this goes on with, and calm. The state holds times of its own; what it says of the best is seen in the link.
same_as_calm() {
    for run in owed calm; do sed -i 's/,"tok_s":[^,}]*//' $run/metrics.jsonl; done
    diff -r -x manifest.json -x 'state-*' owed calm >differs || fail "owed and calm differ: $(cat differs)"
    rm owed/best
    good "$@" --resume
    grep -q 'owed: done, [24] steps$' err && [ "$(names owed)" = "$(names calm)" ] || fail "best is $(names owed), not $(names calm): $(cat out err)"
}
lacks_validation() { sed -i '$s/,"valid_ce".*}/}/' "$1/metrics.jsonl"; } # RUN: the line of its last step
made_up() { # STEP: it was made, and the summary knows it
    grep -q "^train: step $1: validation loss " out && tail -n 1 out | grep -q '^train: owed: [24] steps; .*; validation loss [0-9.]*' || fail "not made up: $(cat out err)"
}
for steps in 2 4; do # the checkpoint is of the last step, or not; it does not know that it is the best
    rm -rf owed calm
    owed=(train owed data.valid=other.h5 eval.every=2 steps="$steps")
    good "${owed[@]}" && mv owed calm
    good train owed data.valid=[] steps=2
    good "${owed[@]}" --resume
    made_up 2
    same_as_calm "${owed[@]}"
done
for rate in 0.001 3; do # it knows the best, which is itself (killed before the line was replaced) or an earlier one
    rm -rf owed calm
    owed=(train owed data.valid=other.h5 eval.every=1 steps=2 optim.lr="$rate")
    good "${owed[@]}" && cp -r owed calm
    lacks_validation owed
    good "${owed[@]}" --resume
    made_up 2
    same_as_calm "${owed[@]}"
done
[ "$(names owed)" = step-00000001 ] || fail "the test wants a run whose last step is not its best: $(cat owed/metrics.jsonl)"
sed -i '$d' owed/metrics.jsonl # of a step without a line nothing is invented
good "${owed[@]}" --resume
grep -q 'owed: done, 2 steps$' err && [ "$(steps_of owed/metrics.jsonl)" = "1 " ] || fail "a line is invented: $(cat owed/metrics.jsonl out err)"

good "$RETORT" report shown
[ "$(head -n 1 out)" = "step,loss,kl,ce,grad_norm,lr,tok_s,skipped,valid_ce,valid_kl" ] && [ "$(lines out)" = 8 ] || fail "CSV: $(cat out)"
grep -q '^7,[0-9.]*,,[0-9.]*,[0-9.]*,[0-9.]*,[0-9.]*,,[0-9.]*,$' out || fail "CSV: $(tail -n 1 out)"
good train capped data.valid=other.h5 eval.sequences=1 steps=1
[ "$(field valid_ce <capped/metrics.jsonl)" != "$(sed -n 1p shown/metrics.jsonl | field valid_ce)" ] || fail "eval.sequences does nothing"

# The teacher's own cross-entropy, and a warning where it is the worse model of the text.
good "$RETORT" score --model short/latest --shards other.h5 --out taught.h5 --k 4 --m 2
good train taught data.train=taught.h5 data.valid=taught.h5 steps=100 optim.lr=0.01
grep -q '^train: step 100: validation loss .*, kl [0-9.]* over 5 outcomes' out || fail "kl: $(cat out)"
grep -q "; the teacher's own cross-entropy $(printf %.4f "$("$RETORT" eval short/latest --shards other.h5 --json | field ce)") on data.valid;" out || fail "teacher: $(tail -n 1 out)"
good "$RETORT" eval taught/latest --shards other.h5 --teacher short/latest --json
[ "$(field teacher_ce <out)" = "$("$RETORT" eval short/latest --shards other.h5 --json | field ce)" ] || fail "eval: $(cat out)"
good train wiser data.train=taught.h5 data.valid=taught.h5 steps=100 optim.lr=0.01 objective.kind=ce
grep -q 'warning: the teacher is the worse model of this text: its cross-entropy is ' err || fail "no warning: $(cat err out)"
good "$RETORT" eval wiser/latest --shards other.h5 --teacher short/latest
grep -q 'warning: the teacher is the worse model of this text' err || fail "no warning of eval: $(cat err out)"

# What is refused leaves nothing behind.
expect 2 "no such shard" "$RETORT" train config.json --set data.train=none.h5 out=refused
[ ! -e refused ] || fail "a refused run left its folder"
echo "runs: good"
