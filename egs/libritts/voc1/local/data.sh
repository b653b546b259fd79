#!/usr/bin/env bash
# Make data/{train,valid,dev_clean,dev_other} of LibriTTS.
#
set -euo pipefail

corpus_dir=""  # LibriTTS as it was downloaded and unpacked.
datadir=data   # Where the tables go.
train_parts="train-clean-100 train-clean-360 train-other-500" # Parts to train on, separated by spaces.
valid_speakers=10 # Speakers of the training parts that are validated on instead.
num_eval=0     # Utterances of each evaluation set, a seeded draw; 0: all of it.
data_seed=0    # Seed of that draw and of the choice of validation speakers.
. utils/parse_options.sh
. ./path.sh
. utils/stages.sh

[ -n "${corpus_dir}" ] ||
    usage "--corpus_dir is needed: LibriTTS, with train-clean-100/, dev-clean/ and so on in it;" \
        "its parts are at https://www.openslr.org/60/"
python local/prepare.py "${corpus_dir}" "${datadir}" "${train_parts}" "${valid_speakers}" "${num_eval}" "${data_seed}"
