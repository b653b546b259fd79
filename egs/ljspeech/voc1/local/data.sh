#!/usr/bin/env bash
# Make data/{train,dev,test} of LJSpeech.
#
set -euo pipefail

corpus_dir="" # LJSpeech-1.1, with wavs/ and metadata.csv; if empty, it is downloaded.
corpus_url=https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2 # Where from.
downloads=downloads # Where to.
datadir=data # Where the tables go.
num_dev=250 # Utterances of the development set.
num_test=250 # Utterances of the test set.
. utils/parse_options.sh
. ./path.sh

if [ -z "${corpus_dir}" ]; then
    corpus_dir=${downloads}/LJSpeech-1.1
    if [ ! -d "${corpus_dir}" ]; then
        archive=${downloads}/$(basename "${corpus_url}")
        python utils/fetch.py "${corpus_url}" "${archive}"
        rm -rf "${downloads}/unpacking"
        mkdir -p "${downloads}/unpacking"
        tar -xjf "${archive}" -C "${downloads}/unpacking"
        mv "${downloads}/unpacking/LJSpeech-1.1" "${corpus_dir}"
    fi
fi
python local/prepare.py "${corpus_dir}" "${datadir}" "${num_dev}" "${num_test}"
