#!/usr/bin/env bash
# Make data/{speech,music,effects}, the sources, and data/{dev,test} of HiFiTTS-2 and folders of music and effects.
#
set -euo pipefail

corpus_dir=""       # HiFiTTS-2, with manifest_44khz.json and audio_44khz/; if empty, it is downloaded.
hours=1000          # Hours to download of it; 0 is all.
music_dir=""        # Folder of music.
effects_dir=""      # Folder of noise and sound effects.
held_out=50         # Items of each source for the development set, and as many for the test set.
data_seed=0         # Seed of their draw.
downloads=downloads # Where to download to.
part="1/1"          # K/N: only download every N-th chapter from the K-th on, for several machines that share a disk.
datadir=data        # Where the tables go.
. utils/parse_options.sh
. ./path.sh
. utils/stages.sh

if [ -z "${corpus_dir}" ]; then
    corpus_dir=${downloads}/hifitts2
    python utils/fetch_hub.py nvidia/hifitts-2 "${corpus_dir}" 1/1 44khz/manifest_44khz.json 44khz/chapters_44khz.json
    python local/download.py "${corpus_dir}" "${hours}" "${part}"
    if [ "${part}" != 1/1 ]; then
        say "part ${part} is downloaded; when all parts are, run ./run.sh"
        exit
    fi
fi
python local/prepare.py "${corpus_dir}" "${music_dir}" "${effects_dir}" "${datadir}" "${held_out}" "${data_seed}"
