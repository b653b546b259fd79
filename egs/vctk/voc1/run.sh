#!/usr/bin/env bash
# VCTK 0.92 (English, 110 speakers, 44 h, 48 kHz): judged on speakers that the training has not heard.
#
set -euo pipefail

corpus_dir=""    # VCTK-Corpus-0.92 as it was downloaded and unpacked.
mic=mic1         # Microphone: mic1 (omni-directional) or mic2 (condenser; two speakers lack it).
dev_speakers=5   # Speakers of the development set,
test_speakers=10 # and of the test set.
data_seed=0      # Seed of the choice of both.
forwarded=()
FORWARD_TO=./voc.sh
. utils/parse_options.sh

./voc.sh \
    --train_config conf/train_eva_gan_base_44k.yaml \
    --local_data_opts "--corpus_dir ${corpus_dir@Q} --mic ${mic@Q} --dev_speakers ${dev_speakers} \
        --test_speakers ${test_speakers} --data_seed ${data_seed}" \
    "${forwarded[@]}"
