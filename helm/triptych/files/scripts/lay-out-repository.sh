#!/usr/bin/env bash
# Lays out the model repository of a pool of GPUs before its server starts.
#
#   lay-out-repository.sh KIND FALLBACK WAIT_S STORE ENGINES REPOSITORY [MODEL VERSION FILE SHA256 KEY]...
#
# KIND is what serves: tensorrt (plans that build-engines.sh wrote to ENGINES/KEY-bN, N being the largest batch that the
# model's config.pbtxt allows), onnxruntime (the ONNX files, on CUDA) or openvino (the same, on the CPU). Where a plan is
# missing after WAIT_S seconds, FALLBACK serves that model: onnxruntime, openvino, or none, which ends the start.
# REPOSITORY gets links to the files, and configurations of its own; nothing is loaded whose sha256 is not what was
# promised.
set -euo pipefail

say() { echo "lay-out-repository: $*"; }
fail() { echo "lay-out-repository: $*" >&2; exit 1; }

# Waits until a plan is complete; fails when it does not come in time.
wait_for_plan() { # FOLDER
    local manifest=$1/manifest.json
    until [[ -f $manifest ]]; do
        if ((SECONDS >= deadline)); then return 1; fi
        if ((SECONDS >= next_word)); then
            say "waiting for the plan ${1##*/}, $((deadline - SECONDS)) s more"
            next_word=$((SECONDS + 30))
        fi
        sleep 1
    done
}

# Prints the folder of a plan, which takes the batches of the model's configuration.
plan_of() { # MODEL KEY
    local batch
    batch=$(sed -nE 's/^max_batch_size: ([0-9]+).*/\1/p' "$store/$1/config.pbtxt")
    [[ -n $batch ]] || fail "$store/$1/config.pbtxt says no max_batch_size"
    echo "$engines/$2-b$batch"
}

# Ends the start when a file is not the promised one: a plan is code that runs with the server's rights.
check_sha256() { # FILE SHA256
    echo "$2  $1" | sha256sum --check --status || fail "$1 does not have the promised sha256 $2; it is not loaded"
}

# Writes a configuration for another backend than the one that modelkit writes it for.
write_config() { # MODEL BACKEND FILENAME KIND
    local source=$store/$1/config.pbtxt target=$repository/$1/config.pbtxt
    [[ -f $source ]] || fail "$source is missing: the model store holds no such model"
    if [[ $2 == openvino ]]; then cp "$source" "$target"; return; fi
    sed -E -e "s/^backend: .*/backend: \"$2\"/" -e "s/^default_model_filename: .*/default_model_filename: \"$3\"/" \
        -e "s/kind: KIND_CPU/kind: $4/" -e '/^parameters /d' "$source" >"$target"
    local line
    for line in "^backend: \"$2\"$" "^default_model_filename: \"$3\"$" "kind: $4"; do
        grep -qE "$line" "$target" || fail "$source is not laid out as expected: no line to become $line"
    done
}

lay_out() { # MODEL VERSION FILE SHA256 KEY
    local model=$1 version=$2 onnx=$store/$1/$3 with=$kind plan=
    if [[ $with == tensorrt ]]; then plan=$(plan_of "$model" "$5"); fi
    mkdir -p "$repository/$model/$version"
    if [[ $with == tensorrt ]] && ! wait_for_plan "$plan"; then
        [[ $fallback != none ]] || fail "$model $version: no plan ${plan##*/} after $wait_s s. Look at the Job that builds it: kubectl logs job/..., or set engine.fallback."
        say "$model $version: no plan ${plan##*/} after $wait_s s; $fallback serves it until the next start"
        with=$fallback
    fi
    if [[ -e $repository/$model/.served-with && $(<"$repository/$model/.served-with") != "$with" ]]; then
        fail "$model: one version has a plan and another has none; Triton takes one backend for all versions of a model"
    fi
    echo "$with" >"$repository/$model/.served-with"
    case $with in
        tensorrt)
            local promised
            promised=$(sed -nE 's/.*"plan_sha256": "([0-9a-f]{64})".*/\1/p' "$plan/manifest.json")
            [[ -n $promised ]] || fail "$plan/manifest.json promises no plan_sha256"
            grep -q '"runtime": "tensorrt"' "$plan/manifest.json" || fail "$plan holds no plan of TensorRT's own, and Triton loads no other"
            grep -q "\"onnx_sha256\": \"$4\"" "$plan/manifest.json" || fail "$plan is built of another file than $model $version, whose sha256 is $4; it is not loaded"
            check_sha256 "$plan/model.plan" "$promised"
            ln -sfn "$plan/model.plan" "$repository/$model/$version/model.plan"
            write_config "$model" tensorrt model.plan KIND_GPU
            ;;
        onnxruntime | openvino)
            [[ -f $onnx ]] || fail "$onnx is missing: the model store does not hold what the values name"
            check_sha256 "$onnx" "$4"
            ln -sfn "$onnx" "$repository/$model/$version/model.onnx"
            write_config "$model" "$with" model.onnx KIND_GPU
            ;;
        *) fail "no way to serve called $with: tensorrt, onnxruntime or openvino" ;;
    esac
    say "$model $version: served with $with"
}

(($# >= 11 && ($# - 6) % 5 == 0)) || fail "usage: lay-out-repository.sh KIND FALLBACK WAIT_S STORE ENGINES REPOSITORY [MODEL VERSION FILE SHA256 KEY]..."
kind=$1 fallback=$2 wait_s=$3 store=$4 engines=$5 repository=$6
shift 6
# A Pod whose sandbox is made anew lays out again, into the same volume, and may serve with something else by then.
find "$repository" -mindepth 1 -delete
deadline=$((SECONDS + wait_s)) next_word=$SECONDS
while (($# > 0)); do
    lay_out "$1" "$2" "$3" "$4" "$5"
    shift 5
done
