#!/usr/bin/env bash
# AN4 (English digits and letters, 16 kHz): the 8 utterances that come with ESPnet, or the whole corpus.
#
set -euo pipefail

full_corpus=false                         # Download the whole AN4 corpus (64 MB) in place of the 8 utterances.
train_config=conf/train_eva_gan_tiny.yaml # Training config; this one goes on from the weights that come with the package.
forwarded=()
FORWARD_TO=./voc.sh
. utils/parse_options.sh

start=()
[ "${train_config}" != conf/train_eva_gan_tiny.yaml ] || start=(--init_model eva_gan_tiny_16k)
./voc.sh \
    --train_config "${train_config}" "${start[@]}" \
    --train_threads 1 --nj 2 \
    --score_metrics m_stft,pesq_wb,periodicity_rmse,vuv_f1,log_mel_l1 \
    --listen_opts "--training-items 0" \
    --local_data_opts "--full_corpus ${full_corpus}" \
    "${forwarded[@]}"
