#!/usr/bin/env bash
# Make data/{train,dev,test} of AN4.
#
set -euo pipefail

full_corpus=false # Download the whole corpus.
corpus_url=http://www.speech.cs.cmu.edu/databases/an4/an4_sphere.tar.gz # Where from.
downloads=downloads # Where to.
datadir=data # Where the tables go.
. utils/parse_options.sh
. ./path.sh

if [ "${full_corpus}" = true ]; then
    archive=${downloads}/$(basename "${corpus_url}")
    python utils/fetch.py "${corpus_url}" "${archive}"
    python local/prepare.py "${datadir}" "${downloads}/full" "${archive}"
else
    python local/prepare.py "${datadir}" "${downloads}/mini"
fi
