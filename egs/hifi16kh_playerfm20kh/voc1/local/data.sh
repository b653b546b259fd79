#!/usr/bin/env bash
# Make data/{music,speech,effects}, the sources, and data/{dev,test} of the paper's corpora and a folder of effects.
#
set -euo pipefail

corpora=""          # Folder with hifi-16kh and playerfm-20000h; if empty, they are downloaded (HF_TOKEN).
effects_dir=""      # Folder of noise and sound effects of your own.
held_out=50         # Recordings of each source for the development set, and as many for the test set.
data_seed=0         # Seed of their draw.
downloads=downloads # Where to download to.
part="1/1"          # K/N: only download every N-th file from the K-th on, for several machines that share a disk.
datadir=data        # Where the tables go.
. utils/parse_options.sh
. ./path.sh
. utils/stages.sh

names=(hifi-16kh playerfm-20000h)
if [ -z "${corpora}" ]; then
    for name in "${names[@]}"; do
        python utils/fetch_hub.py "fish-audio-private/${name}" "${downloads}/${name}" "${part}"
    done
    if [ "${part}" != 1/1 ]; then
        say "part ${part} is downloaded; when all parts are, run ./run.sh"
        exit
    fi
    for name in "${names[@]}"; do
        python local/unpack.py "${downloads}/${name}"
    done
fi
python local/prepare.py "${corpora:-${downloads}}" "${effects_dir}" "${datadir}" "${held_out}" "${data_seed}"
