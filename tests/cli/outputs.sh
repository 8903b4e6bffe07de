#!/usr/bin/env bash
# What a command made before is not replaced: every command that writes a file or folder refuses where one stands, and
# --force, where a command has it, replaces that and nothing else. Inputs that make no sense are refused.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
export OMP_NUM_THREADS=1
cd "$dir"
for i in $(seq 200); do echo "text $i of the vessel and the wine"; done >text.txt
sed 's/wine/kettle/' text.txt >text2.txt
echo '{"model":{"C":32,"L":1,"H":2,"KV":1,"D":16,"F":32,"context":32},"data":{"seq":32},"steps":1,"schedule":{"kind":"constant"}}' >config.json
# A safetensors file with ids [1,2]; its header has 60 bytes.
printf '\74\0\0\0\0\0\0\0{"ids":{"dtype":"I32","shape":[1,2],"data_offsets":[0,8]}}  \1\0\0\0\2\0\0\0' >ids.safetensors

sums() { (cd "$1" && find . -type f | sort | xargs sha256sum); }
# kept WORDS PATH COMMAND...: refused with these words, and PATH holds what it held.
kept() {
    local words=$1 path=$2 before
    shift 2
    before=$(sums "$(dirname "$path")")
    expect 2 "$words" "$@"
    [ "$before" = "$(sums "$(dirname "$path")")" ] || fail "$*: was refused, and yet changed $path"
}

mkdir made
good "$RETORT" tokenizer train text.txt --vocab 300 --out made/tok
kept 'made/tok/tokenizer.json exists already; choose another name, or replace it with --force' made/tok "$RETORT" tokenizer train text2.txt --vocab 310 --out made/tok
good "$RETORT" tokenizer train text2.txt --vocab 300 --out other
good "$RETORT" tokenizer train text2.txt --vocab 300 --out made/tok --force
cmp other/tokenizer.json made/tok/tokenizer.json || fail "--force did not replace the tokenizer"
good "$RETORT" tokenizer train text.txt --vocab 300 --out made/tok --force
mkdir empty
good "$RETORT" tokenizer train text.txt --vocab 300 --out empty # a folder without a tokenizer takes one

good "$RETORT" data import text.txt --tokenizer made/tok --out made/text.h5
kept 'made/text.h5 exists already' made/text.h5 "$RETORT" data import text2.txt --tokenizer made/tok --out made/text.h5
good "$RETORT" data export made/text.h5 --tokenizer made/tok --out made/text.jsonl
kept 'made/text.jsonl exists already' made/text.jsonl "$RETORT" data export made/text.h5 --tokenizer made/tok --out made/text.jsonl
good "$RETORT" train config.json --set model.tokenizer=made/tok data.train=made/text.h5 out=run
model=run/latest
good "$RETORT" score --model $model --shards made/text.h5 --k 4 --m 2 --out made/soft.h5
kept 'made/soft.h5 exists already' made/soft.h5 "$RETORT" score --model $model --shards made/text.h5 --k 8 --m 2 --out made/soft.h5

good "$RETORT" eval $model --tokens ids.safetensors --logits made/logits
kept 'made/logits exists already; choose another name, or replace it with --force' made/logits "$RETORT" eval $model --tokens ids.safetensors --logits made/logits
kept 'eval takes either' made/logits "$RETORT" eval $model --tokens ids.safetensors
kept 'eval takes either' made/logits "$RETORT" eval $model --tokens ids.safetensors --logits x --shards made/text.h5
cp made/logits first
sed 's/\x01\x00\x00\x00\x02/\x02\x00\x00\x00\x02/' ids.safetensors >other.safetensors
good "$RETORT" eval $model --tokens other.safetensors --logits made/logits --force
! cmp -s first made/logits || fail "the same logits for other ids"
good "$RETORT" eval $model --tokens ids.safetensors --logits made/logits --force
cmp first made/logits || fail "--force did not replace the logits"
cp ids.safetensors made/ids
for path in made/ids made/text.jsonl $model/model.safetensors; do
    kept "$path does not hold logits; --force replaces only a file with ids and logits" "$path" "$RETORT" eval $model --tokens ids.safetensors --logits "$path" --force
done
kept "$model holds config.json beside the tokenizer; --force replaces only a folder with nothing but a tokenizer" $model/config.json "$RETORT" tokenizer train text2.txt --vocab 300 --out $model --force
mkdir made/no && echo '{}' >made/no/tokenizer.json
kept 'made/no' made/no/tokenizer.json "$RETORT" tokenizer train text2.txt --vocab 300 --out made/no --force

good "$RETORT" quantize $model --bits 4 --out made/int4
grep -q '^  decodes [0-9]* tokens/s, [0-9]* before' out || fail "quantize does not say how fast the result is: $(cat out)"
kept 'made/int4 exists already; choose another name, or replace it with --force' made/int4 "$RETORT" quantize $model --bits 8 --out made/int4
good "$RETORT" quantize $model --bits 8 --out made/int4 --force --json
[ "$(field bits <out)" = 8 ] || fail "quantize --json: $(cat out)"
good "$RETORT" generate made/int4 --prompt text --max-tokens 2
echo a >nothing.txt # a document of one token, which has no next one
good "$RETORT" data import nothing.txt --tokenizer made/tok --max-tokens 1 --out made/nothing.h5
good "$RETORT" quantize $model --out made/int4 --force --json --shards made/nothing.h5
[ "$(field ce <out)" = null ] || fail "the mean of no loss: $(cat out)"
good "$RETORT" quantize $model --out made/int4 --bits 8 --force --shards made/nothing.h5
grep -q 'the shards have no token that counts' out || fail "the mean of no loss: $(cat out)"
mkdir made/half && cp made/int4/model.safetensors made/half && echo cut >made/half/config.json.tmp.99999999 # what a killed command left
good "$RETORT" quantize $model --out made/half --force
rm made/half/* && echo cut >made/half/model.safetensors.tmp.99999999 # one that was killed earlier
good "$RETORT" quantize $model --out made/half --force
[ "$(find made/half -name '*.tmp.*')" = "" ] || fail "what a killed command left stays: $(ls made/half)"
echo '{}' >made/half/special_tokens_map.json # of the tokenizer that goes
good "$RETORT" quantize $model --out made/half --force
[ ! -e made/half/special_tokens_map.json ] || fail "files of two tokenizers: $(ls made/half)"
rm made/half/* && good "$RETORT" quantize $model --out made/half --force # an empty folder
# --force in folders that hold anything else: nothing in them changes.
nothing_else='--force replaces only a quantised model; choose another --out'
kept "run holds latest, which does not belong to a quantised model; $nothing_else" run/metrics.jsonl "$RETORT" quantize $model --out run --force
mkdir made/weights made/index made/notes
cp $model/model.safetensors made/weights
kept "made/weights holds model.safetensors, whose weights are not quantised; $nothing_else" made/weights/model.safetensors "$RETORT" quantize $model --out made/weights --force
cp made/int4/* made/index && echo '{}' >made/index/model.safetensors.index.json
kept "made/index holds model.safetensors.index.json, which does not belong to a quantised model" made/index/config.json "$RETORT" quantize $model --out made/index --force
echo mine >made/notes/notes.txt
kept "made/notes holds notes.txt, which does not belong to a quantised model" made/notes/notes.txt "$RETORT" quantize $model --out made/notes --force
kept "made/tok holds tokenizer_config.json, but no quantised model" made/tok/tokenizer.json "$RETORT" quantize $model --out made/tok --force
kept "made/text.h5: expected a folder, found a file" made/text.h5 "$RETORT" quantize $model --out made/text.h5 --force
kept "$model holds a model that is not quantised" "run/latest/config.json" "$RETORT" quantize $model --out $model --force
kept 'made/int4 is already quantised to 8 bits; quantise the model from which it was made' made/int4 "$RETORT" quantize made/int4 --bits 4 --out x
kept 'none: expected a model folder with config.json' made/int4 "$RETORT" quantize none --out x
kept 'not a multiple of the group of 20' made/int4 "$RETORT" quantize $model --group 20 --out x
expect 2 'model.init made/int4 is quantised and cannot be trained' "$RETORT" train config.json --set model.init=made/int4 data.train=made/text.h5 out=x
kept '--bits must be 8 or 4, found 4294967300' made/int4 "$RETORT" quantize $model --bits 4294967300 --out x
kept 'made/text.jsonl exists and does not hold a port' made/text.jsonl "$RETORT" serve $model --port 0 --port-file made/text.jsonl
expect 2 'token ids' "$RETORT" generate $model --ids 4294967298
expect 2 '--temperature takes a number' "$RETORT" generate $model --prompt x --temperature nan
expect 2 '--top-p takes a number' "$RETORT" generate $model --prompt x --top-p inf
expect 4 "File too large" bash -c 'ulimit -f 4 && exec "$0" "$@"' "$RETORT" quantize $model --out x
[ ! -e x ] || fail "what was refused left a file: $(ls x)"

# Weights are rounded once: what is not quantised keeps the type that it had.
good "$RETORT" train config.json --set model.tokenizer=made/tok data.train=made/text.h5 dtype=f32 out=wide
good "$RETORT" quantize wide/latest --out wide4
grep -aq '"model.norm.weight":{"dtype":"F32"' wide4/model.safetensors || fail "an f32 model was rounded to bf16 before it was quantised"
grep -aq '"model.norm.weight":{"dtype":"BF16"' made/int4/model.safetensors || fail "the norms of a bf16 model became wider"
