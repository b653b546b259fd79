#!/usr/bin/env bash
# DSD100 (100 songs and their stems, 44.1 kHz): judges a trained model on music, ten items of five seconds per category.
#
set -euo pipefail

corpus_dir=""    # DSD100 as it was downloaded and unpacked, with Mixtures/ and Sources/.
model=""         # Trained model of any recipe, e.g. ../../libritts/voc1/exp/voc_NAME/valid.mel.best.pth.
parts="Test"     # Parts to draw from: Test, Dev, or both, separated by a space.
items=10         # Items of each of bass, drums, vocals, other and mixture.
data_seed=0      # Seed of the draw.
forwarded=()
FORWARD_TO=./voc.sh
. utils/parse_options.sh

if [ -z "${model}" ]; then
    echo "run.sh: --model is needed: a model that another recipe has trained, for nothing is trained on DSD100" >&2
    exit 2
fi
./voc.sh \
    --model "${model}" \
    --score_metrics m_stft,log_mel_l1 \
    --local_data_opts "--corpus_dir ${corpus_dir@Q} --parts ${parts@Q} --items ${items} --data_seed ${data_seed}" \
    "${forwarded[@]}"
