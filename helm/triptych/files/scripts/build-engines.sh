#!/usr/bin/env bash
# Builds TensorRT plans on the GPU that they will run on, inside the image that will serve them.
#
#   build-engines.sh STORE ENGINES [MODEL VERSION FILE SHA256 KEY]...
#
# STORE holds the model repository; below ENGINES each plan gets a folder with model.plan and manifest.json, as
# `triptych model build-engine` writes them. The folder is KEY-bN: KEY says everything that the plan depends on but N,
# the largest batch, which stands in the model's config.pbtxt. So a folder that exists is right and is left alone. It
# gets its name only when it is complete: who finds one may use it, and a Job that is killed leaves nothing that could
# be taken for a plan. TRTEXEC names the program, TRTEXEC_FLAGS holds more flags for it. LONGEST_S says how long a build
# may run: an unfinished folder that is older was left by one that was killed, and is removed.
set -euo pipefail

say() { echo "build-engines: $*"; }
fail() { echo "build-engines: $*" >&2; exit 1; }

# The serving image keeps the program beside TensorRT's samples; it is not on the path in every release.
find_trtexec() {
    local candidate
    for candidate in "${TRTEXEC:-}" "$(command -v trtexec || true)" /usr/src/tensorrt/bin/trtexec /opt/tensorrt/bin/trtexec; do
        if [[ -n $candidate && -x $candidate ]]; then echo "$candidate"; return; fi
    done
    fail "this image holds no trtexec. Set TRTEXEC to where it is, or serve without plans: engine.kind onnxruntime."
}

# Prints the value of a key of config.pbtxt's first input or of the file, as modelkit writes it.
config_value() { # FILE EXPRESSION WHAT
    local value
    value=$(sed -nE "s/$2/\1/p" "$1" | head -n 1)
    [[ -n $value ]] || fail "$1 says no $3"
    echo "$value"
}

gpu_value() { # FIELD
    nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -n 1 || true
}

build() { # MODEL VERSION FILE SHA256 KEY
    local model=$1 version=$2 onnx=$store/$1/$3 sha256=$4 config=$store/$1/config.pbtxt input dims batch key
    [[ -f $onnx ]] || fail "$onnx is missing: the model store does not hold what the values name"
    batch=$(config_value "$config" '^max_batch_size: ([0-9]+).*' "max_batch_size")
    key=$5-b$batch
    if [[ -f $engines/$key/manifest.json ]]; then
        say "$model $version: $key is built already"
        return
    fi
    echo "$sha256  $onnx" | sha256sum --check --status || fail "$onnx does not have the sha256 $sha256 that the values say"

    input=$(config_value "$config" '^input \[ \{ name: "([^"]+)".*' "name of an input")
    dims=$(config_value "$config" '^input .* dims: \[ ([0-9, ]+) \].*' "dims of an input" | tr -d ' ' | tr ',' 'x')

    find "$engines" -maxdepth 1 -name ".building-$key-*" -mmin "+$((${LONGEST_S:-3600} / 60))" -exec rm -rf {} +
    local scratch
    scratch=$(mktemp -d "$engines/.building-$key-XXXXXX")
    chmod 755 "$scratch" # mktemp shuts it to other users, and it becomes what the servers read
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$scratch'" EXIT
    local cache=$engines/timing-$key_of_hardware.cache
    if [[ -f $cache ]]; then cp "$cache" "$scratch/timing.cache"; fi

    local opt=$(((batch + 3) / 4)) start=$SECONDS
    say "$model $version: building for batches of 1 to $batch on $(gpu_value name)"
    # shellcheck disable=SC2086 # flags are words
    "$trtexec" --onnx="$onnx" --saveEngine="$scratch/model.plan" --timingCacheFile="$scratch/timing.cache" \
        --minShapes="$input:1x$dims" --optShapes="$input:${opt}x$dims" --maxShapes="$input:${batch}x$dims" \
        --skipInference ${TRTEXEC_FLAGS:-} >"$scratch/build.log" 2>&1 &
    wait $! || {
        tail -n 40 "$scratch/build.log" >&2
        fail "$model $version: trtexec failed, see above"
    }
    [[ -s $scratch/model.plan ]] || fail "$model $version: trtexec succeeded but wrote no plan"
    write_manifest >"$scratch/manifest.json"
    if [[ -f $scratch/timing.cache ]]; then mv "$scratch/timing.cache" "$cache"; fi

    # Another builder may have been faster: then its folder stays, and what is built here goes.
    if mv -T "$scratch" "$engines/$key" 2>/dev/null; then
        say "$model $version: wrote $key"
    elif [[ -f $engines/$key/manifest.json ]]; then
        say "$model $version: $key was built meanwhile"
    else
        fail "$scratch could not become $engines/$key: is the engine store writable for this user?"
    fi
    rm -rf "$scratch"
    trap - EXIT
}

# Reads the variables of its caller, build.
write_manifest() {
    local plan
    plan=$(sha256sum "$scratch/model.plan")
    cat <<JSON
{
  "schema_version": 1,
  "key": "$key",
  "model": "$model",
  "version": "$version",
  "onnx_sha256": "$sha256",
  "plan_sha256": "${plan%% *}",
  "gpu": "$(gpu_value name)",
  "compute_capability": "$(gpu_value compute_cap)",
  "driver": "$(gpu_value driver_version)",
  "runtime": "tensorrt",
  "tensorrt": "$(sed -nE 's/.*\[TensorRT v([0-9]+)\].*/\1/p' "$scratch/build.log" | head -n 1)",
  "max_batch_size": $batch,
  "opt_batch_size": $opt,
  "flags": "${TRTEXEC_FLAGS:-}",
  "build_seconds": $((SECONDS - start))
}
JSON
}

(($# >= 7 && ($# - 2) % 5 == 0)) || fail "usage: build-engines.sh STORE ENGINES [MODEL VERSION FILE SHA256 KEY]..."
store=$1 engines=$2
shift 2
trtexec=$(find_trtexec)
[[ -w $engines ]] || fail "$engines is not writable for user $(id -u): does the claim belong to group $(id -g)?"
# Timings hold for one kind of GPU; trtexec itself refuses a cache of another TensorRT.
key_of_hardware=$(gpu_value name,compute_cap | sha256sum | cut -c 1-16)
# As the first process of a container, this one has to say itself that it ends; a trap runs only between commands, or
# in a wait.
trap 'kill -KILL $(jobs -p) 2>/dev/null || true; exit 143' TERM
while (($# > 0)); do
    build "$1" "$2" "$3" "$4" "$5"
    shift 5
done
