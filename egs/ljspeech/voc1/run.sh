#!/usr/bin/env bash
# LJSpeech (one English speaker, 24 h, 22.05 kHz).
#
set -euo pipefail

corpus_dir="" # LJSpeech-1.1 as it was downloaded and unpacked; if empty, it is downloaded (2.6 GB).
num_dev=250   # Utterances of the development set.
num_test=250  # Utterances of the test set.
forwarded=()
FORWARD_TO=./voc.sh
. utils/parse_options.sh

./voc.sh \
    --train_config conf/train_eva_gan_base.yaml \
    --local_data_opts "--corpus_dir ${corpus_dir@Q} --num_dev ${num_dev} --num_test ${num_test}" \
    "${forwarded[@]}"
