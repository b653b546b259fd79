#!/usr/bin/env bash
# AN4 from text to speech: a small Tacotron2 of ESPnet, and the EVA-GAN tiny that comes with the package.
#
set -euo pipefail

full_corpus=false # Download the whole AN4 corpus (64 MB) in place of the 8 utterances.
forwarded=()
FORWARD_TO=./tts.sh
. utils/parse_options.sh

# Each job of stages 5 and 6 spends its time on imports, so there are no more of them than cores.
./tts.sh \
    --nj 2 \
    --local_data_opts "--full_corpus ${full_corpus}" \
    --vocoder eva_gan_tiny_16k \
    --vocoder_config ../voc1/conf/train_eva_gan_tiny.yaml \
    --inference_args "--maxlenratio 5" \
    --finetune_args "--max_epoch 2 --optim_conf lr=5.0e-5 --optim2_conf lr=5.0e-5" \
    "${forwarded[@]}"
