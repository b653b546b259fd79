#!/usr/bin/env bash
# LibriTTS (English, 2,456 speakers, 585 h, 24 kHz): trained on all training parts, judged on dev-clean and dev-other.
#
set -euo pipefail

corpus_dir="" # LibriTTS (or LibriTTS_R) as it was downloaded and unpacked.
train_parts="train-clean-100 train-clean-360 train-other-500" # Parts to train on, separated by spaces.
train_config=conf/train_eva_gan_base_24k.yaml # Training config.
num_eval=0   # Utterances of each evaluation set, a seeded draw; 0: all of it.
data_seed=0  # Seed of that draw and of the choice of validation speakers.
forwarded=()
FORWARD_TO=./voc.sh
. utils/parse_options.sh
. ./path.sh

# Published figures are of 24 kHz, and stand beside no others. voc.sh tells what is wrong with the config.
published=()
if [ "$(python utils/sample_rate.py "${train_config}" 2>/dev/null)" = 24000 ]; then
    published=(--protocol libritts --score_metrics "m_stft,pesq_wb,periodicity_rmse,vuv_f1")
fi
./voc.sh \
    --train_config "${train_config}" \
    --valid_set valid \
    --test_sets "dev_clean dev_other" \
    --local_data_opts "--corpus_dir ${corpus_dir@Q} --train_parts ${train_parts@Q} \
        --num_eval ${num_eval} --data_seed ${data_seed}" \
    "${published[@]}" "${forwarded[@]}"
