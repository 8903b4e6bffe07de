#!/usr/bin/env bash
# Chats: generate --chat is generate of the ids that the chat template writes; a GGUF file keeps the template; wrong use.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
cd "$dir" || exit 1

cp -r "$SOURCE_DIR/experiments/teacher/model" model
expect 2 "has no chat template" "$RETORT" generate model --chat --prompt volcano
cat >model/chat_template.jinja <<'TEXT'
{{ bos_token }}{% for m in messages %}
{% if m.role == 'assistant' %}{{ raise_exception('ask, do not answer') }}{% endif %}
{{ m.role ~ ': ' if m.role == 'system' }}{{ m.content | trim }} (noun):{% endfor %}{{ ' a' if add_generation_prompt }}
TEXT

# answer PROMPT_OPTION...: the ids that generate gives.
answer() { "$RETORT" generate model --max-tokens 30 --temperature 1 --json "$@" | sed 's/,"tok_s".*//'; }
ids_of() { "$RETORT" tokenizer chat model --ids | sed 's/[^0-9,]//g'; }
one=$(echo '{"messages":[{"role":"user","content":" volcano "}]}' | ids_of)
two=$(echo '{"messages":[{"role":"system","content":"caf\u00e9"},{"role":"user","content":"it'\''s"}]}' | ids_of)
answer --ids "$one" >want
[ -s want ] || fail "no answer"
answer --chat --prompt ' volcano ' | cmp - want || fail "generate --chat does not continue the template's text"
answer --ids "$two" >want
answer --chat --system 'café' --prompt "it's" | cmp - want || fail "generate --chat --system does not continue the template's text"

expect 2 "--chat takes the user's message as --prompt" "$RETORT" generate model --chat --ids 1,2
expect 2 "--system is the system message of a chat" "$RETORT" generate model --prompt a --system b
expect 2 "not valid UTF-8" "$RETORT" generate model --chat --prompt $'\xff'

# into a GGUF file and out of it
good "$RETORT" export model --gguf one.gguf
good "$RETORT" import one.gguf --out back
echo '{"messages":[{"role":"user","content":"vessel"}]}' >chat
"$RETORT" tokenizer chat model <chat >want
"$RETORT" tokenizer chat back <chat | cmp - want || fail "the chat template did not come back out of a GGUF file"
