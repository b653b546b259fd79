#!/usr/bin/env bash
# Make data/{train,dev,test} of VCTK 0.92.
#
set -euo pipefail

corpus_dir=""    # VCTK-Corpus-0.92, with wav48_silence_trimmed/ and txt/.
datadir=data     # Where the tables go.
mic=mic1         # Microphone: mic1 or mic2.
dev_speakers=5   # Speakers of the development set,
test_speakers=10 # and of the test set.
data_seed=0      # Seed of the choice of both.
. utils/parse_options.sh
. ./path.sh
. utils/stages.sh

[ -n "${corpus_dir}" ] ||
    usage "--corpus_dir is needed: VCTK 0.92, with wav48_silence_trimmed/ and txt/ in it;" \
        "VCTK-Corpus-0.92.zip is at https://datashare.ed.ac.uk/handle/10283/3443"
python local/prepare.py "${corpus_dir}" "${datadir}" "${mic}" "${dev_speakers}" "${test_speakers}" "${data_seed}"
