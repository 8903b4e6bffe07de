#!/usr/bin/env bash
# A model as a GGUF file: it is written, replaced only when asked, and generates what the folder generates.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
export OMP_NUM_THREADS=1
teacher=$SOURCE_DIR/experiments/teacher/model
cd "$dir"
mkdir one
good "$RETORT" export "$teacher" --gguf one/model.gguf --type bf16 --json
grep -q '"type":"bf16","bytes":[0-9]*,"matrices":36,"matrices_of_other_type":0,"relative_error":0}' out || fail "the report is $(cat out)"
expect 2 "exists" "$RETORT" export "$teacher" --gguf one/model.gguf
expect 2 "requires --gguf" "$RETORT" export "$teacher"
expect 2 "found \"q3\"" "$RETORT" export "$teacher" --gguf two.gguf --type q3
[ ! -e two.gguf ] || fail "a refused type leaves a file"

# The folder needs a tokenizer beside the file.
cp "$teacher"/tokenizer*.json one
generate() { "$RETORT" generate "$1" --prompt 'volcano (noun):' --max-tokens 20 --temperature 0 --dtype bf16 2>/dev/null; }
generate "$teacher" >whole
generate one | cmp - whole || fail "a GGUF file in bf16 generates another text"
good "$RETORT" export "$teacher" --gguf one/model.gguf --force
grep -q 'q8_0, 3.13 MB; weights differ by 0.0055' out || fail "the report is $(cat out)"
good generate one
good "$RETORT" export "$teacher" --gguf one/model.gguf --type q4_k --force
grep -q '31 of 36 matrices are stored with more bits' out || fail "the report is $(cat out)"
# ... which is a source too.
good "$RETORT" quantize one --out four
good generate four
