#!/usr/bin/env bash
# LJSpeech from text to speech: Tacotron2 of ESPnet on phones, and the EVA-GAN that ../voc1 has trained on ESPnet's mel.
#
set -euo pipefail

corpus_dir="" # LJSpeech-1.1 as it was downloaded and unpacked; if empty, it is downloaded (2.6 GB).
num_dev=250   # Utterances of the development set.
num_test=250  # Utterances of the test set.
forwarded=()
FORWARD_TO=./tts.sh
. utils/parse_options.sh

./tts.sh \
    --local_data_opts "--corpus_dir ${corpus_dir@Q} --num_dev ${num_dev} --num_test ${num_test}" \
    --token_type phn --cleaner tacotron --g2p g2p_en_no_space \
    --vocoder ../voc1/exp/voc_eva_gan_base_centered/valid.mel.best.pth \
    --vocoder_config ../voc1/conf/train_eva_gan_base_centered.yaml \
    "${forwarded[@]}"
