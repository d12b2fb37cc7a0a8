#!/usr/bin/env bash
# Trains the demo checkpoints from data/ (`make training-data`), on one GPU or two: sized for 25 minutes on two H200.
#
#   training/train_demo.sh [FOLDER]        default out/training; writes the checkpoints FOLDER/music and FOLDER/sound
#
# It may be stopped at any time; the same command resumes it. With MINUTES=9 it stops after nine minutes, with exit
# status 3 if unfinished. DATA and PYTHON override the paths of the data and the interpreter.
set -uo pipefail
cd "$(dirname "$0")/.."
work=${1:-out/training} data=${DATA:-data} python=${PYTHON:-.venv/bin/python}
deadline=$(awk "BEGIN { print int(60 * ${MINUTES:-1000}) }")
gpus=$(nvidia-smi --list-gpus 2>/dev/null | wc -l)
first=0 second=$((gpus > 1 ? 1 : 0))
mkdir -p "$work/log" "$work/done" || exit

left() { awk "BEGIN { print ($deadline - $SECONDS) / 60 }"; }

# stage NAME GPU COMMAND…: runs a stage unless it is done already.
stage() {
  local name=$1 gpu=$2
  shift 2
  [ -e "$work/done/$name" ] && return 0
  [ $SECONDS -lt $deadline ] || return 3
  CUDA_VISIBLE_DEVICES=$gpu "$@" 2>&1 | tee -a "$work/log/$name.log" | sed -u "s/^/$name: /"
  local status=${PIPESTATUS[0]}
  [ "$status" = 0 ] && touch "$work/done/$name"
  return "$status"
}

# trained NAME GPU COMMAND…: runs a stage that can be stopped and resumed.
trained() {
  local name=$1 gpu=$2
  shift 2
  stage "$name" "$gpu" "$@" --state "$work/state/$name" --minutes "$(left)"
}

# codes_of KIND: waits until the codec's encoder is trained. Then its codes are final, while its decoder keeps learning.
codes_of() {
  until [ -e "$work/$1/compression_state_dict.bin" ]; do
    [ $SECONDS -lt $deadline ] || return 3
    sleep 1
  done
  sleep 2
}

language_model() {
  local kind=$1 gpu=$2
  codes_of "$kind" &&
    stage "$kind-tokens" "$gpu" "$python" -m training tokens \
      --data "$data/$kind" --checkpoint "$work/$kind" --out "$work/tokens/$kind" &&
    trained "$kind-lm" "$gpu" "$python" -m training lm "$kind" --tokens "$work/tokens/$kind" --out "$work/$kind"
}

codec() {
  trained "$1-codec" "$2" "$python" -m training codec "$1" --data "$data/$1/train" --out "$work/$1"
}

diffusion() {
  trained diffusion $first "$python" -m training diffusion \
    --data "$data/music/train" --checkpoint "$work/music" --out "$work/music"
}

realness() {
  stage generate $second "$python" -m training generate \
    --checkpoint "$work/music" --data "$data/music" --out "$work/generated" &&
    trained discriminators $second "$python" -m audiocraft_triton train-discriminators --codec "$work/music" \
      --data "$data/music" --generated "$work/generated" --out "$work/music"
}

codec music $first & music_codec=$!
language_model music $second & music_lm=$!
codec sound $second & others=($!)
language_model sound $first & others+=($!)
status=0
wait $music_codec || status=$?
[ $status != 0 ] || { diffusion & others+=($!); }
wait $music_lm || status=$?
[ $status != 0 ] || realness || status=$?
for other in "${others[@]}"; do wait "$other" || status=$?; done
exit $status
