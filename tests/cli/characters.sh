#!/usr/bin/env bash
# A tokenizer of Llama 2's form through the commands: import, training, copying, generated text as a whole and in parts.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"

# Entries: <unk> <s> </s>, 256 bytes, a mark for the space, letters, three words.
{
    printf '{"added_tokens":[{"id":1,"content":"<s>","special":true},{"id":2,"content":"</s>","special":true}],'
    printf '"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},'
    printf '"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}},{"SpecialToken":{"id":"</s>"}}],'
    printf '"special_tokens":{"<s>":{"ids":[1]},"</s>":{"ids":[2]}}},'
    printf '"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},'
    printf '{"type":"Strip","content":" ","start":1,"stop":0}]},'
    printf '"model":{"type":"BPE","unk_token":"<unk>","byte_fallback":true,"fuse_unk":true,"vocab":{"<unk>":0,"<s>":1,"</s>":2'
    for i in $(seq 0 255); do printf ',"<0x%02X>":%d' "$i" $((3 + i)); done
    id=259
    for piece in ▁ a e i l n o s t v ▁a ▁v ▁t; do printf ',"%s":%d' "$piece" $((id++)); done
    printf '},"merges":["▁ a","▁ v","▁ t"]}}'
} >"$dir/tokenizer.json"
mkdir "$dir/tok"
mv "$dir/tokenizer.json" "$dir/tok"
echo '{"eos_token":"</s>"}' >"$dir/tok/tokenizer_config.json"

for i in $(seq 100); do echo "a vessel, a vine: $i 蒸留"; done >"$dir/text.txt"
good "$RETORT" data import "$dir/text.txt" --tokenizer "$dir/tok" --out "$dir/text.h5"
echo '{"model":{"C":16,"L":1,"H":2,"KV":1,"D":8,"F":32,"context":128},"data":{"seq":32},"steps":1}' >"$dir/config.json"
good "$RETORT" train "$dir/config.json" --set model.tokenizer="$dir/tok" data.train="$dir/text.h5" out="$dir/run"
model=$dir/run/latest

# The checkpoint's copy is the same tokenizer, though its template ends no text.
good "$RETORT" data import "$dir/text.txt" --tokenizer "$model" --out "$dir/again.h5"
[ "$(identity "$dir/again.h5")" = "$(identity "$dir/text.h5")" ] || fail "the checkpoint's tokenizer has another identity"
[ "$(digest "$dir/again.h5")" = "$(digest "$dir/text.h5")" ] || fail "the checkpoint's tokenizer makes other documents"
echo '{"text":"a vessel"}' | "$RETORT" tokenizer encode "$model" --special | grep -q '"ids":\[1,[0-9,]*[13-9]\]' || fail "the copy ends a text"

# The text that generate prints, as a whole or in parts, continues the prompt's: prompt and text are what all ids decode to.
for seed in 1 2 3; do
    "$RETORT" generate "$model" --prompt "a vessel" --max-tokens 60 --temperature 1 --seed $seed --ignore-eos --json >"$dir/whole"
    "$RETORT" generate "$model" --prompt "a vessel" --max-tokens 60 --temperature 1 --seed $seed --ignore-eos >"$dir/parts" 2>/dev/null
    ids=$(sed 's/.*"ids":\[\([0-9,]*\)\].*/\1/' "$dir/whole")
    prompt=$(echo '{"text":"a vessel"}' | "$RETORT" tokenizer encode "$model" --special | sed 's/.*"ids":\[\([0-9,]*\)\].*/\1/')
    text=$(sed 's/.*"text":"\(.*\)","tok_s".*/\1/' "$dir/whole")
    all=$(echo "{\"ids\":[$prompt,$ids]}" | "$RETORT" tokenizer decode "$model" | sed 's/^{"text":"\(.*\)"}$/\1/')
    [ "$all" = "a vessel$text" ] || fail "seed $seed: '$text' does not continue the prompt to '$all'"
    [[ $text == *\\* ]] || [ "$text" = "$(cat "$dir/parts")" ] || fail "seed $seed: in parts the text is '$(cat "$dir/parts")', as a whole '$text'"
    iconv -f UTF-8 -t UTF-8 "$dir/parts" >/dev/null || fail "seed $seed: the text in parts is not UTF-8"
done

# The server's text is the same in a stream, every part of which is whole characters.
ask() { # SEED MORE: the texts of a completion, one after another
    local body='{"prompt":"a vessel","max_tokens":60,"temperature":1,"ignore_eos":true,"seed":'$1,$2'}'
    exec 3<>"/dev/tcp/127.0.0.1/$(cat "$dir/port")"
    printf 'POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' ${#body} "$body" >&3
    cat <&3 >"$dir/answer"
    exec 3>&-
    iconv -f UTF-8 -t UTF-8 "$dir/answer" >/dev/null || fail "seed $1: the answer is not UTF-8"
    grep -oP '"text":"\K([^"\\]|\\.)*' "$dir/answer" | tr -d '\n'
}
begin_server "$RETORT" serve "$model" --port 0 --port-file "$dir/port"
for seed in 1 2 3; do
    whole=$(ask $seed '"return_token_ids":true')
    all=$(sed 's/.*"prompt_token_ids":\[\([0-9,]*\)\].*/\1/;t;d' "$dir/answer"),$(sed 's/.*"token_ids":\[\([0-9,]*\)\].*/\1/;t;d' "$dir/answer")
    all=$(echo "{\"ids\":[$all]}" | "$RETORT" tokenizer decode "$model" | sed 's/^{"text":"\(.*\)"}$/\1/')
    [ "$all" = "a vessel$whole" ] || fail "seed $seed: the server's '$whole' does not continue the prompt to '$all'"
    parts=$(ask $seed '"stream":true')
    [ "${#whole}" -gt 20 ] || fail "seed $seed: the server's text is short: $(cat "$dir/answer")"
    [ "$whole" = "$parts" ] || fail "seed $seed: the stream says '$parts', the whole answer '$whole'"
done
end_server
