#!/usr/bin/env bash
# Any folder of audio: ./run.sh --audio_dir DIR
#
set -euo pipefail

audio_dir=""  # Folder of audio files, searched with its sub-folders.
dev_percent=5 # Without a split in manifest.tsv: share of the files in the development set,
test_percent=5 # and in the test set.
forwarded=()
FORWARD_TO=./voc.sh
. utils/parse_options.sh

./voc.sh \
    --train_config conf/train_eva_gan_base_44k.yaml \
    --local_data_opts "--audio_dir ${audio_dir@Q} --dev_percent ${dev_percent} --test_percent ${test_percent}" \
    "${forwarded[@]}"
