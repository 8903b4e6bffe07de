#!/usr/bin/env bash
# A tokenizer with an entry that no text holds, and a model without a row for it: every way works. A text that holds the entry is refused.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
export OMP_NUM_THREADS=1
cd "$dir"
for i in $(seq 40); do echo "the vessel number $i holds the wine"; done >text.txt
echo 'the vessel <extra> holds' >extra.txt
echo '{"model":{"C":32,"L":1,"H":2,"KV":1,"D":16,"F":32,"context":48},"data":{"seq":48},"steps":2,"dtype":"f32","batch":{"sequences":4}}' >config.json
good "$RETORT" tokenizer train text.txt --vocab 300 --out tok
good "$RETORT" data import text.txt --tokenizer tok --out before.h5
train=("$RETORT" train config.json --set)
good "${train[@]}" model.tokenizer=tok data.train=before.h5 out=less
good "${train[@]}" model.tokenizer=tok data.train=before.h5 model.V=301 seed=1 out=more
size=$(grep -o '"vocab_size": [0-9]*' less/latest/config.json | grep -o '[0-9]*$')
# the tokenizer of both grows by an entry with the first id that `less` lacks
for d in tok less/latest more/latest; do
    sed -i 's/"added_tokens": *\[/&{"id":'"$size"',"content":"<extra>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false},/' $d/tokenizer.json
    grep -q '<extra>' $d/tokenizer.json || fail "$d/tokenizer.json has no list of added tokens"
done
less=less/latest more=more/latest
good "$RETORT" data import text.txt --tokenizer tok --out text.h5
good "$RETORT" data import extra.txt --tokenizer tok --out extra.h5

for model in $less $more; do
    name=${model%%/*}
    good "$RETORT" score --model $model --shards text.h5 --k 4 --m 4 --out soft_$name.h5
    good "$RETORT" score --model $model --shards text.h5 --out coded_$name.h5
done
for shard in text soft_less soft_more coded_less coded_more; do
    good "${train[@]}" model.init=$less data.train=$shard.h5 data.valid=$shard.h5 out=run_$shard
    good "$RETORT" eval $less --shards $shard.h5
    good "$RETORT" score --model $less --shards $shard.h5 --k 2 --m 2 --out again_$shard.h5
done
good "${train[@]}" model.init=$more data.train=text.h5 teacher.model=$less out=taught
good "${train[@]}" model.init=$less data.train=text.h5 teacher.model=$more out=taught2
good "${train[@]}" model.tokenizer=tok data.train=soft_less.h5 out=new
good "$RETORT" eval $more --shards text.h5 --teacher $less
good "$RETORT" eval $less --shards text.h5 --teacher $more
good "$RETORT" generate $less --prompt the --max-tokens 2

lacks="has id $size"
for args in "eval $less --shards extra.h5" "eval $more --shards extra.h5 --teacher $less" "score --model $less --shards extra.h5 --out x.h5" \
    "train config.json --set model.init=$less data.train=extra.h5 out=x" \
    "train config.json --set model.init=$more teacher.model=$less data.train=extra.h5 out=y"; do
    # shellcheck disable=SC2086
    expect_last 2 "$lacks" "$RETORT" $args
done
expect 2 "token 1 is $size" "$RETORT" generate $less --prompt '<extra>'
# The advice for a new model is one that works.
expect_last 2 'set it to 0 or to at least that number' "${train[@]}" model.tokenizer=tok data.train=text.h5 model.V=290 out=z
good "${train[@]}" model.tokenizer=tok data.train=text.h5 model.V=0 out=roomy
good "${train[@]}" model.init=roomy/latest data.train=extra.h5 out=extra

begin_server "$RETORT" serve $less --port 0 --port-file "$dir/port"
good "$RETORT" score --teacher "$url" --shards text.h5 --k 4 --m 4 --out served.h5
expect_last 2 "$lacks" "$RETORT" score --teacher "$url" --shards extra.h5 --k 4 --out x.h5
good curl -sS "$url/tokenize" -d '{"prompt":"the<extra>","return_token_strs":true}'
grep -q '"<extra>"\]' out || fail "tokenize: $(cat out)"
good curl -sS -o answer -w '%{http_code}\n' "$url/v1/completions" -d '{"prompt":"the<extra>","max_tokens":1}'
grep -q 400 out || fail "a prompt with a token that the model lacks: $(cat out answer)"
end_server
