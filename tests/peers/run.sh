#!/usr/bin/env bash
# Compares retort with other people's programs, in a virtual environment with pinned versions. Called by ./run peers.
# With the word `golden` only logits and training steps are compared, with values that transformers and PyTorch computed;
# with `tokenizers` only ids and texts of tokenizers (words after it name some of them, or chat: chat templates, corpus: 50 MB of text, speed: rates); with `speed` the speed and memory of training steps with a PyTorch trainer's (words after it go to speed.py).
# Everything is written below PEERS_OUT (build/peers); the golden models and steps are made once.
set -euo pipefail
part=${1:-all}
[ "$part" != mlx ] || exec "$(dirname "${BASH_SOURCE[0]}")/mlx.sh"
[ "$part" != gemma ] || exec "$(dirname "${BASH_SOURCE[0]}")/gemma.sh"
[ $# = 0 ] || shift
case $part in
all | golden) [ $# = 0 ] || { echo "peers: $part takes no further words; got '$*'" >&2 && exit 2; } ;;
speed | tokenizers) ;;
*) echo "peers: expected nothing, golden, tokenizers or speed; got '$part'" >&2 && exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${PEERS_OUT:-build/peers} here=tests/peers teacher=experiments/teacher/model failed=0
python=$PWD/.venv/bin/python
mkdir -p "$out"

if ! cmp -s $here/requirements.txt .venv/installed; then
    echo "peers: installing $here/requirements.txt into .venv" >&2
    python3 -m venv .venv
    .venv/bin/pip install --quiet --requirement $here/requirements.txt
    cp $here/requirements.txt .venv/installed
fi

# check NAME COMMAND...: goes on after a failure; the end says it.
check() {
    local name=$1
    shift
    if "$@"; then echo "peers: $name: good"; else failed=1 && echo "peers: $name: FAILED"; fi
}

compare_logits() {
    retort eval "$1" --tokens "$1/golden.safetensors" --logits "$out/logits.safetensors" --force >/dev/null &&
        "$python" $here/compare_logits.py "$1/golden.safetensors" "$out/logits.safetensors"
}
compare_greedy() { "$python" $here/compare_logits.py "$1/golden.safetensors" --greedy "$1"; }

# The same logits from a GGUF file that ggml's package wrote.
compare_gguf() {
    "$python" $here/make_gguf.py "$1" "$out/models/one.gguf" 2>/dev/null &&
        retort eval "$out/models/one.gguf" --tokens "$1/golden.safetensors" --logits "$out/logits.safetensors" --force >/dev/null &&
        "$python" $here/compare_logits.py "$1/golden.safetensors" "$out/logits.safetensors"
}

# A GGUF file that retort writes is the one that ggml's package writes, and llama.cpp, if it is in PATH, generates the same text.
compare_export() {
    "$python" $here/make_gguf.py "$1" "$out/models/one.gguf" Q8_0 2>/dev/null &&
        retort export "$1" --gguf "$out/models/two.gguf" --type q8_0 --force >/dev/null &&
        "$python" $here/check_gguf.py "$out/models/two.gguf" "$out/models/one.gguf" "$1/tokenizer.json" || return
    ! command -v llama-completion >/dev/null || "$python" $here/compare_llama.py "$1" "$out/models/gguf" "the model is" "families of random" --types f32
}

# transformers opens the folder $1 that retort wrote, and computes the logits that retort computes for the ids in the file $2.
open_export() {
    retort eval "$1" --tokens "$2" --logits "$out/logits.safetensors" --force >/dev/null &&
        "$python" $here/check_model.py "$1" --golden "$out/logits.safetensors"
}

# ... and does not open what only retort can compute.
refuse_quantised() {
    retort quantize "$1" --out "$out/int4" --force >/dev/null && "$python" $here/check_refused.py "$out/int4"
}

# Five whole steps on golden batches: same losses, gradient norms and learning rates.
train_step() {
    local student=$1 variant=$2 run=$out/kd/run-$1-$2
    shift 2
    rm -rf "$run"
    retort train configs/student-distil.json --json --set model.init="$out/kd/$student" model.tokenizer=null data.train="$out/kd/steps.h5" 'data.valid=[]' \
        data.seq=32 data.pack=false data.shuffle=false batch.sequences=4 steps=5 optim.lr=1e-3 schedule.kind=cosine \
        schedule.warmup=2 schedule.min_ratio=0.1 schedule.decay=0 dtype=f32 out="$run" "$@" >"$run.jsonl" &&
        "$python" $here/compare_step.py "$out/kd" "$student" "$variant" "$run.jsonl"
}

families=(llama-tied qwen2 qwen3)                                                   # golden steps with every loss
others=(llama-bias mistral phi3 gemma2 gemma3 smollm3 olmo2 granite)                # golden steps with one loss
golden_models=(llama llama-bf16 llama-rope3 llama-sharded llama-v4 phi3-longrope phi4-mini mistral-plain smollm3-plain gemma2-plain gemma3-plain "${families[@]}" "${others[@]}")
in_gguf=(llama llama-bf16 llama-rope3 llama-tied llama-bias mistral-plain qwen2 qwen3 smollm3-plain gemma2-plain gemma3-plain olmo2 granite) # models that GGUF files hold

golden_logits() {
    local model
    for model in "${golden_models[@]}"; do
        [ -f "$out/models/$model/golden.safetensors" ] || "$python" $here/make_models.py "$out/models" --only "$model"
        check "logits of transformers' $model" compare_logits "$out/models/$model"
        check "greedy tokens of transformers' $model" compare_greedy "$out/models/$model"
        [[ " ${in_gguf[*]} " == *" $model "* ]] || continue
        check "logits of transformers' $model in a GGUF file" compare_gguf "$out/models/$model"
        check "GGUF file of transformers' $model" compare_export "$out/models/$model"
    done
}

# Variants of make_kd_case.py, each with the words for it; but for hidden-mse and hidden-cosine, whose matrix no file sets
# (tests/unit/test_golden.c compares these).
variants() {
    local whole="teacher.model=$out/kd/teacher objective.ce_weight=0"
    cat <<TEXT
ce objective.kind=ce
zloss objective.kind=ce objective.z_loss=0.01
topk objective.kind=truncated objective.ce_weight=0
topk-tail objective.kind=tail objective.ce_weight=0
tail-t2 objective.kind=tail objective.ce_weight=0 objective.temperature=2 objective.t2=false
prompt objective.kind=tail objective.ce_weight=0 objective.prompt_weight=0.25
mix objective.kind=tail objective.ce_weight=0.5
mix-schedule objective.kind=tail objective.ce_weight=0.8 objective.ce_weight_end=0.2
topk-teacher objective.kind=renorm objective.ce_weight=0
topk-both objective.kind=renorm-both objective.ce_weight=0
residual objective.kind=residual objective.ce_weight=0
topk-sampled objective.kind=onehot objective.ce_weight=0
sampled objective.kind=sampled objective.ce_weight=0
fkl $whole objective.kind=kl
fkl-t2 $whole objective.kind=kl objective.temperature=2 objective.t2=true
fkl-t2-ce $whole objective.kind=kl objective.temperature=2 objective.t2=true objective.ce_weight=0.5
rkl $whole objective.kind=reverse
jsd $whole objective.kind=jsd objective.beta=0.5
jsd-b0.1 $whole objective.kind=jsd objective.beta=0.1
skew $whole objective.kind=skew objective.alpha=0.1
skew-reverse $whole objective.kind=skew-reverse objective.alpha=0.1
tv $whole objective.kind=tv
TEXT
}

golden_steps() {
    local student lines line words
    mapfile -t lines < <(variants)
    for student in "${families[@]}"; do
        for line in "${lines[@]}"; do
            read -ra words <<<"$line"
            check "golden steps of $student, ${words[0]}" train_step $student "${words[@]}"
        done
    done
    for student in "${others[@]}"; do
        check "golden steps of $student, mix" train_step $student mix objective.kind=tail objective.ce_weight=0.5
        check "transformers opens the trained $student" open_export "$out/kd/run-$student-mix/latest" "$out/models/$student/golden.safetensors"
    done
}

other_files() {
    check "verify a shard that h5py wrote" retort data verify "$out/kd/steps.h5"
    check "h5py reads a shard" "$python" docs/read_shard.py "$out/kd/steps.h5"
    if command -v h5dump >/dev/null; then check "h5dump reads a shard" bash -c "h5dump -H '$out/kd/steps.h5' | grep -q topk_logprob"; fi
    [ -d $teacher ] || return 0
    "$python" -c "import torch; from safetensors.torch import save_file; save_file(dict(ids=torch.randint(1, 4096, (2, 48))), '$out/models/ids.safetensors')"
    check "transformers opens the bundled teacher" open_export $teacher "$out/models/ids.safetensors"
    check "transformers refuses it in 4 bits" refuse_quantised $teacher
    rm -rf "$out/tokens" && mkdir -p "$out/tokens"
    check "tokenizer's identity; transformers ends no text" "$python" $here/identity.py "$(command -v retort)" $teacher $teacher "$out/tokens"
    check "ids of tokenizers, over all of Unicode" "$python" $here/compare_tokens.py "$(command -v retort)" "$out/tokens"
}

if [ "$part" = tokenizers ]; then
    program=$(command -v retort) what=${1-}
    case $what in
    speed | corpus | chat) shift ;;
    *) check "tokenizers" "$python" $here/tokenizers/compare.py "$program" .venv/tokenizers "$@" ;;
    esac
    case $what in
    speed | corpus) check "$what of tokenizers" "$python" "$here/tokenizers/$what.py" "$program" .venv/tokenizers "$@" ;;
    "" | chat) check "chat templates" "$python" $here/tokenizers/chat.py "$program" .venv/tokenizers ;;
    esac
    exit $failed
fi
[ "$part" != speed ] || exec "$python" $here/speed.py --out "$out/speed.md" "$@"
[ "$out/kd/case.json" -nt $here/make_kd_case.py ] || "$python" $here/make_kd_case.py "$out/kd" --students "${families[@]}" "${others[@]/%/:mix}"
rm -f "$out/kd/steps.h5"
"$python" $here/make_shard.py "$out/kd" "$out/kd/steps.h5"
golden_logits
golden_steps
[ "$part" = golden ] || other_files
exit $failed
