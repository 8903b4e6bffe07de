#!/usr/bin/env bash
# Tokens that begin and end a text, and the tokenizer's identity: one rule in every command.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
export OMP_NUM_THREADS=1
cd "$dir"
for i in $(seq 60); do echo "the vessel number $i holds the wine"; done >text.txt
good "$RETORT" tokenizer train text.txt --vocab 300 --out tok
# tok-old: as earlier versions wrote it, with the end token on both sides of a text and no note beside it.
mkdir tok-old
sed '/"single":/s/{"Sequence": {"id": "A", "type_id": 0}}/&, {"SpecialToken": {"id": "<|end|>", "type_id": 0}}/' tok/tokenizer.json >tok-old/tokenizer.json
sed '/retort_tokenizer/d; s/\("tokenizer_class": "[A-Za-z]*"\),/\1/' tok/tokenizer_config.json >tok-old/tokenizer_config.json
! cmp -s tok/tokenizer.json tok-old/tokenizer.json || fail "the old tokenizer is the new one"

encode() { printf '{"text":"%s"}\n' "$2" | "$RETORT" tokenizer encode "$1" --special | grep -o '\[.*\]'; }
case $(encode tok the) in *,0]) fail "the template ends a text: $(encode tok the)" ;; \[0,*) ;; *) fail "a text begins as $(encode tok the)" ;; esac
case $(encode tok-old the) in *,0]) ;; *) fail "the old template does not end a text: $(encode tok-old the)" ;; esac

# The post-processor decides no ids: both are one tokenizer, and documents end with the end token in both.
good "$RETORT" data import text.txt --tokenizer tok --out new.h5
good "$RETORT" data import text.txt --tokenizer tok-old --out old.h5
[ "$(identity new.h5)" = "$(identity old.h5)" ] || fail "two identities of one tokenizer"
[ "$(digest new.h5)" = "$(digest old.h5)" ] || fail "documents of one tokenizer differ"

# What decides ids changes the identity: a merge, an added token, the pre-tokenizer.
other() { # NAME SCRIPT
    mkdir "$1" && cp tok/tokenizer_config.json "$1" && sed "$2" tok/tokenizer.json >"$1/tokenizer.json"
    ! cmp -s tok/tokenizer.json "$1/tokenizer.json" || fail "$1: nothing was changed"
    good "$RETORT" data import text.txt --tokenizer "$1" --out "$1.h5"
    [ "$(identity "$1.h5")" != "$(identity new.h5)" ] || fail "$1: the identity did not change"
}
other regex 's/"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}/"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}/'
other normal 's/"normalizer": null/"normalizer": {"type": "NFC"}/'
other added 's/"lstrip": false/"lstrip": true/'
expect 2 'use shards of one' "$RETORT" train /dev/stdin --set model.C=32 model.L=1 model.H=2 model.KV=1 model.D=16 model.F=32 model.context=32 data.seq=32 \
    data.train='["new.h5","regex.h5"]' steps=1 out=x <<<'{}'

# A checkpoint made with the old tokenizer: its copy ends no text, keeps that documents end, and knows the old file's hash.
echo '{"model":{"C":32,"L":1,"H":2,"KV":1,"D":16,"F":32,"context":32},"data":{"seq":32},"steps":1,"schedule":{"kind":"constant"}}' >config.json
good "$RETORT" train config.json --set model.tokenizer=tok-old data.train=old.h5 out=run
model=run/latest
case $(encode $model the) in *,0]) fail "a checkpoint's template ends a text" ;; esac
good "$RETORT" data import text.txt --tokenizer $model --out again.h5
[ "$(digest again.h5)" = "$(digest old.h5)" ] || fail "documents of the checkpoint's tokenizer differ"
good "$RETORT" quantize $model --bits 8 --out int8
good "$RETORT" data import text.txt --tokenizer int8 --out third.h5
[ "$(digest third.h5)" = "$(digest old.h5)" ] || fail "documents of the quantised model's tokenizer differ"
grep -q "$(sha256sum <tok-old/tokenizer.json | cut -d' ' -f1)" $model/tokenizer_config.json || fail "the former file's hash is not kept"

# A server begins a prompt as a document begins, and an old server's hash of the file is known by the file.
begin_server "$RETORT" serve $model --port 0 --port-file port
prompt=$(curl -s "$url/v1/completions" -d '{"prompt":"the","max_tokens":1,"return_token_ids":true}' | grep -o '"prompt_token_ids":\[[^]]*\]' | grep -o '\[.*')
[ "$prompt" = "$(encode $model the)" ] || fail "a served prompt is $prompt"
end_server
begin_server "$REPLAY" port none 0 "$(sha256sum <tok-old/tokenizer.json | cut -d' ' -f1)"
expect_last 2 'pass its folder with --tokenizer' "$RETORT" score --teacher "$url" --shards new.h5 --out soft.h5 --k 4
rm -f soft.h5*
good "$RETORT" score --teacher "$url" --shards new.h5 --out soft.h5 --k 4 --tokenizer tok-old
end_server

# End tokens: those of config.json, generation_config.json and the tokenizer are one set, which every copy keeps.
cp -rL $model several
sed -i 's/"eos_token_id": 0/"eos_token_id": [7, 9]/' several/config.json
sed -i 's/"eos_token_id": 0/"eos_token_id": [9, 11]/' several/generation_config.json
good "$RETORT" quantize several --bits 8 --out several-int8
echo '{"model":{"init":"several"},"data":{"seq":32},"steps":1,"schedule":{"kind":"constant"}}' >init.json
good "$RETORT" train init.json --set data.train=new.h5 out=more
good "$RETORT" train config.json --set model.tokenizer=several data.train=new.h5 out=fresh
for copy in several-int8 more/latest fresh/latest; do
    for file in config generation_config; do
        grep -q '"eos_token_id": \[7, 9, 11, 0\]' $copy/$file.json || fail "$copy/$file.json: $(grep eos $copy/$file.json)"
    done
done
first=$("$RETORT" generate $model --ids 5,6 --temperature 0 --max-tokens 1 --ignore-eos --json | grep -o '\[[0-9]*\]' | tr -d '[]')
for file in config generation_config; do
    cp -rL $model ended
    sed -i "s/\"eos_token_id\": 0/\"eos_token_id\": [299, $first]/" ended/$file.json
    "$RETORT" generate ended --ids 5,6 --temperature 0 --max-tokens 4 --json | grep -q '"ids":\[\]' || fail "generate goes on behind an end token of $file.json"
    begin_server "$RETORT" serve ended --port 0 --port-file port
    curl -s "$url/v1/completions" -d '{"prompt":[5,6],"max_tokens":4,"temperature":0}' | grep -q '"finish_reason":"stop"' || fail "serve goes on behind an end token of $file.json"
    end_server
    rm -r ended
done
sed -i 's/"eos_token_id": \[7, 9\]/"eos_token_id": "end"/' several/config.json
expect 2 '"eos_token_id" must be' "$RETORT" generate several --ids 5

# What tokenizer_config.json says besides: a token that only it names, special tokens that are to be spelt out, and names of another type are refused.
wrong() { # WORDS TEXT [FILE]: FILE is the configuration, or another one, with TEXT in it
    rm -rf wrong && cp -r tok wrong
    if [ $# = 3 ]; then echo "$2" >"wrong/$3"; else sed -i "1s/{/{$2,/" wrong/tokenizer_config.json; fi
    expect 2 "$1" "$RETORT" data import text.txt --tokenizer wrong --out wrong.h5
}
right() { # TEXT: the same, accepted
    rm -rf wrong wrong.h5 && cp -r tok wrong && sed -i "1s/{/{$1,/" wrong/tokenizer_config.json
    good "$RETORT" data import text.txt --tokenizer wrong --out wrong.h5
}
wrong '"<x>" is the added token 300 in this file' '"added_tokens_decoder":{"300":{"content":"<x>","special":true}}'
wrong '"<|end|>" is the added token 1 in this file' '"added_tokens_decoder":{"1":{"content":"<|end|>"}}'
wrong '"the" is the added token' '"added_tokens_decoder":{"270":{"content":"the"}}'
wrong '"<x>" is the added token 300 in this file' '{"<x>":300}' added_tokens.json
wrong 'has no text "content"' '"added_tokens_decoder":{"0":{"content":5}}'
wrong '"split_special_tokens": true' '"split_special_tokens":true'
right '"added_tokens_decoder":{"0":{"content":"<|end|>"}},"split_special_tokens":false,"x":null'
for bad in 3 false '[]' '{"content":5}' '{}'; do
    rm -rf wrong && cp -r tok wrong
    sed -i "s/\"eos_token\": *\"[^\"]*\"/\"eos_token\": $bad/" wrong/tokenizer_config.json
    grep -qF "\"eos_token\": $bad" wrong/tokenizer_config.json || fail "eos_token was not changed"
    expect 2 'the eos_token must be' "$RETORT" data import text.txt --tokenizer wrong --out wrong.h5
done

# A template that closes a text with a token which is no end token: the copy notes it and closes none.
rm -rf turn && cp -r tok turn
sed -i '/retort_tokenizer/d; s/\("tokenizer_class": "[A-Za-z]*"\),/\1/' turn/tokenizer_config.json
sed -i '/"single":/s/{"Sequence": {"id": "A", "type_id": 0}}/&, {"SpecialToken": {"id": "turn", "type_id": 0}}, {"SpecialToken": {"id": "<|end|>", "type_id": 0}}/
    s/"special_tokens": *{/&"turn": {"id": "turn", "ids": [5], "tokens": ["turn"]}, /' turn/tokenizer.json
case $(encode turn the) in *,5,0]) ;; *) fail "the template closes a text otherwise: $(encode turn the)" ;; esac
good "$RETORT" data import text.txt --tokenizer turn --out turn.h5
good "$RETORT" train config.json --set model.tokenizer=turn data.train=turn.h5 out=turned
case $(encode turned/latest the) in *,5] | *,0]) fail "the copy's template closes a text: $(encode turned/latest the)" ;; esac
good "$RETORT" data import text.txt --tokenizer turned/latest --out turn2.h5
[ "$(digest turn.h5)" = "$(digest turn2.h5)" ] || fail "documents of the copy end otherwise"
