#!/usr/bin/env bash
# Make data/{train,dev,test} of a folder of audio.
#
set -euo pipefail

audio_dir=""   # Folder of audio files, searched with its sub-folders.
datadir=data   # Where the tables go.
dev_percent=5  # Without a split in manifest.tsv: share of the files in the development set,
test_percent=5 # and in the test set.
. utils/parse_options.sh
. ./path.sh

if [ -z "${audio_dir}" ]; then
    echo "data.sh: --audio_dir is needed: the folder of audio files" >&2
    exit 2
fi
python local/prepare.py "${audio_dir}" "${datadir}" "${dev_percent}" "${test_percent}"
