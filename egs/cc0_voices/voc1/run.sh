#!/usr/bin/env bash
# Three CC0 voices (English, Dutch, German; 3.8 h, 48 kHz), free to use for anything.
#
set -euo pipefail

corpora=""    # Folder with dataset-voice-kathleen, -nathalie and -kerstin as cloned; if empty, they are cloned (0.8 GB).
partial=false # Take what there is of the corpora, for a trial.
forwarded=()
FORWARD_TO=./voc.sh
. utils/parse_options.sh

./voc.sh \
    --train_config conf/train_eva_gan_tiny_16k.yaml \
    --score_metrics m_stft,pesq_wb,stoi,periodicity_rmse,vuv_f1,log_mel_l1 \
    --local_data_opts "--corpora ${corpora@Q} --partial ${partial}" \
    "${forwarded[@]}"
