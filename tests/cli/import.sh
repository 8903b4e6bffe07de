#!/usr/bin/env bash
# A GGUF file becomes a model folder again: the same weights, ids and text; what cannot be read leaves nothing behind.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
export OMP_NUM_THREADS=1
teacher=$SOURCE_DIR/experiments/teacher/model
cd "$dir"
good "$RETORT" export "$teacher" --gguf one.gguf --type bf16
good "$RETORT" import one.gguf --out one --type bf16 --json
grep -q '"family":"llama","parameters":' out || fail "the report is $(cat out)"
cmp one/model.safetensors "$teacher/model.safetensors" || fail "the weights differ"
generate() { "$RETORT" generate "$1" --prompt 'volcano (noun): 42' --max-tokens 20 --temperature 0 2>/dev/null; }
generate "$teacher" >whole
generate one | cmp - whole || fail "the imported model generates another text"
expect 2 "retort import FILE.gguf --out DIR" "$RETORT" generate one.gguf --prompt a
expect 2 "exists" "$RETORT" import one.gguf --out one
expect 2 "requires --out" "$RETORT" import one.gguf
expect 2 "found \"f8\"" "$RETORT" import one.gguf --out two --type f8
head -c 100000 one.gguf >cut.gguf
expect 2 "cut.gguf" "$RETORT" import cut.gguf --out two
[ ! -e two ] || fail "a file that cannot be read leaves a folder"

# A vocabulary alone becomes a folder with a tokenizer.
printf 'YQ== 0\nYg== 1\n' >small.tiktoken
expect 2 "a tiktoken file of 2 entries is not known" "$RETORT" import small.tiktoken --out three
[ ! -e three ] || fail "a vocabulary that is not known leaves a folder"
good "$RETORT" import "$SOURCE_DIR/tests/fuzz/seeds/sentencepiece/good_bpe.model" --out three
grep -q 'a tokenizer of 266 entries' out || fail "the report is $(cat out)"
echo '{"name":1,"text":"ab a"}' | "$RETORT" tokenizer encode three >ids
grep -q '"ids":\[' ids || fail "the tokenizer gives $(cat ids)"
