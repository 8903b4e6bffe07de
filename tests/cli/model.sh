#!/usr/bin/env bash
# What a model consists of, and how two differ.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
export OMP_NUM_THREADS=1
teacher=$SOURCE_DIR/experiments/teacher/model golden=$SOURCE_DIR/tests/golden
cd "$dir"
good "$RETORT" model inspect "$teacher" --json
total=$(field parameters <out)
[ "$total" = $(($(field embedding <out) + $(field head <out) + $(field 'norms and biases' <out) + $(field attention <out) + $(field feed-forward <out))) ] ||
    fail "the parts do not add up: $(cat out)"
[ "$(field stored <out)" = bf16 ] || fail "the teacher is stored in bf16: $(cat out)"
good "$RETORT" model inspect "$golden/gemma2" --context 10
grep -q 'gemma2, 2 layers of width 16' out && grep -q 'tokens in 1 layers' out || fail "$(cat out)"
expect 2 "--context must be between 1 and 128" "$RETORT" model inspect "$golden/gemma2" --context 1000

good "$RETORT" model diff "$golden/gemma2" "$golden/gemma2"
[ "$(cat out)" = "24 of 24 tensors are equal" ] || fail "$(cat out)"
good "$RETORT" export "$teacher" --gguf eight.gguf --type q8_0
good "$RETORT" model diff "$teacher" eight.gguf
grep -q 'embed_tokens.weight: at most 0.0[0-9]* apart, 0.00[0-9]* of its root mean square' out || fail "$(cat out)"
grep -q '^11 of 47 tensors are equal' out || fail "the norms are equal: $(tail -1 out)"
good "$RETORT" model diff "$golden/gemma2" "$golden/olmo2"
grep -q 'family: gemma2 and olmo2' out && grep -q 'pre_feedforward_layernorm.weight: only in the first model' out || fail "$(cat out)"
expect 2 "takes two models, found 1" "$RETORT" model diff "$teacher"
expect 2 "the nearest is 'inspect'" "$RETORT" model inspekt "$teacher"

# The licence: of the front matter of README.md, of a LICENSE's first line, of a GGUF file.
mkdir named && cp "$teacher"/*.json "$teacher/model.safetensors" named
good "$RETORT" model inspect named
grep -q 'licence  *not stated' out || fail "$(cat out)"
printf '\n   Apache License\nVersion 2.0\n' >named/LICENSE
good "$RETORT" model inspect named
grep -q 'licence  *Apache License$' out || fail "$(cat out)"
printf -- '---\nlanguage: en\nlicense: other\nlicense_name: "small\033[1m-1"\n---\nlicense: mit\n' >named/README.md
good "$RETORT" model inspect named --json
[ "$(field licence <out)" = "small?[1m-1" ] || fail "$(cat out)"
printf -- '---\nlicense: mit\n---\n' >named/README.md
good "$RETORT" export named --gguf named.gguf --type q8_0
good "$RETORT" model inspect named.gguf
grep -q 'licence  *mit$' out || fail "$(cat out)"
