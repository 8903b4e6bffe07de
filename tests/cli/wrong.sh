#!/usr/bin/env bash
# Wrong input and missing resources: the exit code, one line that says what to do, and nothing lost.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
export OMP_NUM_THREADS=1
cd "$dir"
# "${within[@]}" N COMMAND...: no file may grow beyond N KiB.
# shellcheck disable=SC2016 # expanded by the inner shell
within=(bash -c 'ulimit -f "$0" && exec "$@"') no_memory=(bash -c 'ulimit -v 200000 && exec "$0" "$@"')
for i in $(seq 200); do echo "text $i of the vessel and the wine"; done >text.txt
sed 's/wine/kettle/' text.txt >text2.txt
echo '{"model":{"C":16,"L":1,"H":2,"KV":1,"D":8,"F":32,"context":32},"data":{"seq":32},"steps":2,"checkpoint":{"every":1},"schedule":{"kind":"constant"}}' >config.json
good "$RETORT" tokenizer train text.txt --vocab 300 --out tok
good "$RETORT" tokenizer train text2.txt --vocab 310 --out tok2
good "$RETORT" data import text.txt --tokenizer tok --out text.h5
good "$RETORT" data import text2.txt --tokenizer tok2 --out text2.h5
train=("$RETORT" train config.json --set model.tokenizer=tok data.train=text.h5)
good "${train[@]}" out=run
model=run/latest

# Files that are missing, cut, or do not fit together.
head -c 3000 text.h5 >cut.h5
expect 2 "none.json" "$RETORT" train none.json
expect 2 "none.h5: no such shard" "${train[@]}" out=x data.train=none.h5
expect 2 "none: expected a model folder" "$RETORT" eval none --shards text.h5
expect 2 "cut.h5: the HDF5 file is truncated" "${train[@]}" out=x data.train=cut.h5
expect 2 "cut.h5: the HDF5 file is truncated" "$RETORT" eval $model --shards cut.h5
expect 2 "cut.h5: the HDF5 file is truncated" "$RETORT" score --teacher http://127.0.0.1:1 --shards cut.h5 --out x.h5
expect 2 "use the tokenizer of the shards" "${train[@]}" out=x data.train=text2.h5
expect 2 "import the text again with --tokenizer $model" "$RETORT" eval $model --shards text2.h5

good "$RETORT" train config.json --set model.tokenizer=tok2 data.train=text2.h5 out=run2

# A tokenizer that is not the weights' own, and folders that do not say theirs.
expect 2 'model.init run2/latest has the tokenizer' "${train[@]}" out=x model.init=run2/latest
good "${train[@]}" out=same model.init=$model
cp -rL $model bare
rm bare/tokenizer.json
good "${train[@]}" out=barerun model.init=bare
good "$RETORT" eval $model --shards text.h5 --teacher $model
! grep -q warning err || fail "a warning without reason: $(cat err)"
good "$RETORT" eval bare --shards text.h5
grep -q 'bare has no tokenizer.json, so its token ids cannot be compared' err || fail "eval does not say that it knows no tokenizer: $(cat err)"
good "$RETORT" eval $model --shards text.h5 --teacher bare --json
grep -q 'bare has no tokenizer.json, so its token ids cannot be compared' err || fail "eval does not say that it knows no tokenizer of the teacher: $(cat err)"

# Objectives that the shards cannot serve, teachers that do not fit the student.
good "$RETORT" score --model $model --shards text.h5 --out given.h5 --k 4 --m 0
good "$RETORT" score --model $model --shards text.h5 --out drawn.h5 --k 4 --m 2
good "$RETORT" train config.json --set model.tokenizer=tok data.train=text.h5 model.context=16 data.seq=16 out=short
good "$RETORT" train config.json --set model.tokenizer=tok data.train=text.h5 model.V=400 out=wide
soft=("$RETORT" train config.json --set model.tokenizer=tok data.train=given.h5 out=x)
expect 2 'objective "tail" needs teacher probabilities, but text.h5 is a text shard' "${train[@]}" out=x objective.kind=tail
expect 2 'objective.k is 9, but given.h5 holds 4 entries per row' "${soft[@]}" objective.kind=tail objective.k=9
expect 2 'given.h5 holds k 4, m 0; both must equal the stored values' "${soft[@]}" objective.kind=sampled
expect 2 '"sampled" with k 2, m 2: drawn.h5 holds k 4, m 2' "${soft[@]}" data.train=drawn.h5 objective.kind=sampled objective.k=2
expect 2 'objective "jsd" needs the teacher'\''s whole distribution, but given.h5 holds only the most likely entries; set teacher.model' "${soft[@]}" objective.kind=jsd
good "$RETORT" score --model $model --shards text.h5 --out samples.h5 --k 0 --m 4
good "$RETORT" score --model $model --shards text.h5 --out coded.h5
expect 2 'samples.h5 holds only samples; use "sampled"' "${soft[@]}" data.train=samples.h5 objective.kind=tail
expect 2 'coded.h5 holds only encoded hidden states; use "kl"' "${soft[@]}" data.train=coded.h5 objective.kind=sampled
expect 2 'samples.h5 holds only samples; set teacher.model' "${soft[@]}" data.train=samples.h5 objective.kind=kl
expect 2 'rows of only samples (k = 0) are drawn at temperature 1' "${soft[@]}" data.train=samples.h5 objective.temperature=2
expect 2 'only "sampled" learns from samples, not "tail"' "${soft[@]}" data.train=drawn.h5 objective.kind=tail objective.m=2
expect 2 '"kl" learns from whole distributions; omit them' "${soft[@]}" data.train=coded.h5 objective.k=4
expect 2 '"sampled" with k 4, m 1: drawn.h5 holds k 4, m 2' "${soft[@]}" data.train=drawn.h5 objective.m=1
for order in '["text.h5","given.h5"]' '["given.h5","text.h5"]'; do
    expect 2 'data.train mixes text without a teacher'"'"'s probabilities (text.h5) and shards with them (given.h5)' "${soft[@]}" data.train="$order"
done
good "${train[@]}" out=told data.train=drawn.h5
grep -qx 'train: told: sampled from 4 entries and 2 samples per row, with 0.1 of cross-entropy; 2 steps' out || fail "train does not say what it learns: $(cat out)"
good "${train[@]}" out=samples data.train=samples.h5
grep -q ': sampled from 4 samples per row, with' out || fail "train does not say that it learns from samples alone: $(cat out)"
good "${train[@]}" out=told data.train=drawn.h5 --resume --set steps=3
grep -q '; continuing from step 2 of 3$' out || fail "train does not say where it goes on: $(cat out)"
expect 2 'the nearest choice is "reverse"' "${soft[@]}" objective.kind=revers
expect 2 'the nearest choice is "cosine"' "${soft[@]}" objective.hidden=cosin
expect 2 'objective.hidden "mse" compares hidden states with the teacher'\''s; set teacher.model' "${soft[@]}" objective.hidden=mse
expect 2 'nowhere: expected a model folder' "${soft[@]}" teacher.model=nowhere
expect 2 'teacher.model run2/latest has tokenizer' "${soft[@]}" teacher.model=run2/latest
expect 2 'teacher.model short/latest has a context of 16 tokens, but data.seq is 32' "${soft[@]}" teacher.model=short/latest
expect 2 'k must be from 1 to 256' "${soft[@]}" teacher.model=$model objective.kind=tail objective.k=0

# Configuration.
expect 2 "schedule.warmup (1) and schedule.decay (5) together exceed the 2 steps; set steps=6 or more, or schedule.warmup=0 and schedule.decay=1" "${train[@]}" out=x schedule.kind=wsd schedule.warmup=1 schedule.decay=5
expect 2 "schedule.warmup (3) exceeds the 2 steps; set steps=3 or more" "${train[@]}" out=x schedule.kind=cosine schedule.warmup=3
echo '{"model":{"C":16,"C":32}}' >double.json
echo '{"model":{"Haeds":2}}' >unknown.json
expect 2 'the key "C" occurs twice in "model"' "$RETORT" train double.json
expect 2 'unknown.json: there is no key "model.Haeds"; the nearest is' "$RETORT" train unknown.json
echo '{"optim.lr":"abc"}' >dotted.json
expect 2 'dotted.json: found the key "optim.lr", expected an object for each part' "$RETORT" train dotted.json
expect 2 'no key "model.c"; the nearest is "model.C"' "${train[@]}" out=x model.c=16
expect 2 '"model.C" must be an integer between 1 and 1048576, found -3' "${train[@]}" out=x model.C=-3
expect 2 "found -3" "$RETORT" generate $model --prompt text --max-tokens -3
expect 4 "make the model smaller" "${train[@]}" out=x model.C=600000 model.L=500 model.F=600000
case $(nm -D "$RETORT" | grep -c __asan_init) in
0) RETORT_GEMM=openblas expect 4 "address space" "${no_memory[@]}" "${train[@]}" out=x ;;
*) echo "wrong: skipped: no limit on memory under the address sanitizer" ;;
esac
[ -z "$(ls -d x x.h5 2>/dev/null)" ] || fail "what was refused left a file"

# Servers.
expect 3 "http://127.0.0.1:1 cannot be reached" "$RETORT" score --teacher http://127.0.0.1:1 --shards text.h5 --out refused.h5
begin_server "$REPLAY" port 500 -1 "$(identity text.h5)"
expect 3 "HTTP 500" "$RETORT" score --teacher "$url" --shards text.h5 --out failed.h5 --retries 1 --quiet
expect 3 "is in use" "$RETORT" serve $model --port "$(cat port)"
end_server

# No space left: 4, what was there before still reads, and with space the same command goes on.
good "${train[@]}" out=whole steps=4
good "${train[@]}" out=half
expect_last 4 "File too large" "${within[@]}" 8 "${train[@]}" out=half steps=4 --resume
good "$RETORT" eval half/latest --shards text.h5
good "${train[@]}" out=half steps=4 --resume
[ ! -e half/step-00000003.tmp ] || fail "a half-written checkpoint stays"
cmp whole/latest/model.safetensors half/latest/model.safetensors || fail "another model after a full disk"
expect 4 "File too large" "${within[@]}" 8 "${train[@]}" out=first
good "${train[@]}" out=first --resume

expect 4 "File too large" "${within[@]}" 4 "$RETORT" data import text.txt --tokenizer tok --out full.h5
[ -z "$(find . -name 'full.h5*')" ] || fail "a failed import left $(find . -name 'full.h5*')"
good "$RETORT" data import text.txt --tokenizer tok --out full.h5
[ "$(digest full.h5)" = "$(digest text.h5)" ] || fail "another digest after a full disk"

good "$RETORT" data import text.txt --tokenizer tok --out many.h5 --max-doc 11
begin_server "$REPLAY" port slow 0 "$(identity text.h5)"
score=("$RETORT" score --teacher "$url" --shards many.h5 --k 8 --m 4 --quiet)
good "${score[@]}" --out whole.h5
head -n 60 text.txt >few.txt
good "$RETORT" data import few.txt --tokenizer tok --out few.h5
few=("$RETORT" score --teacher "$url" --shards few.h5 --k 8 --m 4 --quiet --in-flight 64)
good "${few[@]}" --out few-whole.h5
# All responses come in one round, since the client is stopped while the server writes them, and the ledger has no room for all of them.
(ulimit -f $(($(stat -c %s few-whole.h5.ledger) / 1024 - 8)) && exec "${few[@]}" --out few-soft.h5) >out 2>err &
client=$!
while kill -STOP $client 2>/dev/null; do
    sleep 0.4
    kill -CONT $client 2>/dev/null || true
    sleep 0.05
done
code=0
wait $client || code=$?
[ $code = 4 ] && grep -q "the responses so far are safe" err || fail "a full ledger: exit $code: $(cat err)"
[ ! -e few-soft.h5 ] || fail "a shard without all answers"
good "${few[@]}" --out few-soft.h5 --json
! grep -q '"known":0,' out || fail "a full disk lost all answers of a round: $(cat out)"
[ "$(digest few-soft.h5)" = "$(digest few-whole.h5)" ] || fail "another digest after a full ledger"
good "${score[@]}" --out soft.h5
rm soft.h5
end_server
end=$(($(stat -c %s whole.h5) / 1024 - 4))
expect 4 "File too large" "${within[@]}" "$end" "${score[@]}" --out soft.h5 # the shard is too large; the ledger is only read
[ -z "$(find . -name 'soft.h5*' ! -name '*.ledger*')" ] || fail "a full disk left $(find . -name 'soft.h5*')"
good "${score[@]}" --out soft.h5
[ "$(digest soft.h5)" = "$(digest whole.h5)" ] || fail "another digest after a full disk"
