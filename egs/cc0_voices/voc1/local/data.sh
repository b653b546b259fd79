#!/usr/bin/env bash
# Make data/{train,dev,test} of three CC0 voices: rhasspy/dataset-voice-{kathleen,nathalie,kerstin}.
#
set -euo pipefail

corpora=""          # Folder with dataset-voice-kathleen, -nathalie and -kerstin as cloned; if empty, they are cloned.
partial=false       # Take what there is of the corpora, for a trial.
url_base=https://github.com/rhasspy # Where from.
downloads=downloads # Where to.
datadir=data        # Where the tables go.
. utils/parse_options.sh
. ./path.sh
. utils/stages.sh

# Voice, the folder of its repository that is needed, MiB on the disk when cloned.
voices=("kathleen data 1400" "nathalie verified 220" "kerstin verified 420")
batch=200 # Files that are fetched at a time: what an interruption can lose.
log=${downloads}/clone.log

unfinished() { echo "${downloads}/.dataset-voice-$1.part"; }

# in_clone NAME WORD ...: git in the unfinished clone of a voice, and never in a repository around it.
in_clone() { git -C "$(unfinished "$1")" --git-dir=.git --work-tree=. "${@:2}" 2>>"${log}"; }

# clone NAME FOLDER: clone one folder of a voice's repository, without its history; what a former run fetched is kept.
clone() {
    local name=$1 folder=$2 part files first
    part=$(unfinished "${name}")
    rm -f "${part}"/.git/*.lock "${part}"/.git/info/*.lock # Of a run that was killed.
    if ! in_clone "${name}" rev-parse --quiet --verify HEAD >/dev/null; then
        rm -rf "${part}"
        git clone --quiet --depth 1 --filter=blob:none --no-checkout "${url_base}/dataset-voice-${name}" "${part}" \
            2>"${log}" || return
    fi
    files=$(in_clone "${name}" rev-list --objects --missing=print HEAD -- "${folder}" | sed -n 's/^?//p') || return
    read -ra files -d '' <<<"${files}" || true
    for ((first = 0; first < ${#files[@]}; first += batch)); do
        say "dataset-voice-${name}: $((${#files[@]} - first)) files to fetch"
        in_clone "${name}" -c fetch.negotiationAlgorithm=noop fetch --quiet --no-tags --no-write-fetch-head \
            --filter=blob:none origin "${files[@]:first:batch}" || return
    done
    printf '/%s\n' LICENSE README.md "${folder}/" >"${part}/.git/info/sparse-checkout"
    in_clone "${name}" config core.sparseCheckout true && in_clone "${name}" checkout --quiet --force HEAD &&
        mv "${part}" "${downloads}/dataset-voice-${name}"
}

# need_space: end if the disk has no room for the clones that are still to be made.
need_space() {
    local voice name room there needed=0
    for voice in "${voices[@]}"; do
        read -r name _ room <<<"${voice}"
        [ ! -d "${downloads}/dataset-voice-${name}" ] || continue
        there=0
        [ ! -d "$(unfinished "${name}")" ] || there=$(du -sm "$(unfinished "${name}")" | cut -f 1)
        needed=$((needed + (there < room ? room - there : 0)))
    done
    room=$(df -Pm "${downloads}" | awk 'NR == 2 { print $4 }')
    [ "${room}" -ge "${needed}" ] ||
        die "the clones take ${needed} MiB and the disk of ${downloads} has ${room}: make room, or give --downloads DIR"
}

# clone_voices: clone what is not there yet.
clone_voices() {
    local voice name folder
    command -v git >/dev/null || die "git is not installed; install it, or give the folder of the clones: --corpora DIR"
    export GIT_TERMINAL_PROMPT=0 GIT_HTTP_LOW_SPEED_LIMIT=1000 GIT_HTTP_LOW_SPEED_TIME=60
    mkdir -p "${downloads}"
    need_space
    for voice in "${voices[@]}"; do
        read -r name folder _ <<<"${voice}"
        [ -d "${downloads}/dataset-voice-${name}" ] || clone "${name}" "${folder}" ||
            die "cannot clone ${url_base}/dataset-voice-${name} ($(sed -En 's/^(fatal|error): //p' "${log}" | tail -n 1)):" \
                "run it again to go on, or clone the three elsewhere and give their folder: --corpora DIR"
    done
}

[ -n "${corpora}" ] || clone_voices
python local/prepare.py "${corpora:-${downloads}}" "${datadir}" "${partial}"
