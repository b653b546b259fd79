#!/usr/bin/env bash
# The corpora of the EVA-GAN paper, 44.1 kHz: 16,000 h of music and 20,000 h of speech (gated), half and half, and effects.
#
set -euo pipefail

corpora=""     # Folder with hifi-16kh and playerfm-20000h; if empty, they are downloaded (HF_TOKEN).
effects_dir="" # Folder of noise and sound effects of your own.
held_out=50    # Recordings of each source for the development set, and as many for the test set.
data_seed=0    # Seed of their draw.
forwarded=()
FORWARD_TO="./mix.sh ./voc.sh"
. utils/parse_options.sh

./mix.sh \
    --train_config conf/train_eva_gan_base_44k.yaml \
    --score_metrics m_stft,log_mel_l1 \
    --local_data_opts "--corpora ${corpora@Q} --effects_dir ${effects_dir@Q} --held_out ${held_out} --data_seed ${data_seed}" \
    "${forwarded[@]}"
