#!/usr/bin/env bash
# HiFiTTS-2 (NVIDIA; LibriVox audiobooks, 44.1 kHz, open), with music and effects of your own in the paper's shares.
#
set -euo pipefail

corpus_dir=""  # HiFiTTS-2 as its own scripts download it: manifest_44khz.json and audio_44khz/; if empty, it is downloaded.
hours=1000     # Hours to download of it; 0 is all.
music_dir=""   # Folder of music.
effects_dir="" # Folder of noise and sound effects.
held_out=50    # Items of each source for the development set, and as many for the test set.
data_seed=0    # Seed of their draw.
forwarded=()
FORWARD_TO="./mix.sh ./voc.sh"
. utils/parse_options.sh

./mix.sh \
    --train_config conf/train_eva_gan_base_44k.yaml \
    --score_metrics m_stft,log_mel_l1 \
    --local_data_opts "--corpus_dir ${corpus_dir@Q} --hours ${hours} --music_dir ${music_dir@Q} \
        --effects_dir ${effects_dir@Q} --held_out ${held_out} --data_seed ${data_seed}" \
    "${forwarded[@]}"
