#!/usr/bin/env bash
# Train on a mix of sources: voc.sh and its stages, where stage 2 also curates and formats (or shards) every source of the mix
# that is to lie in dump/, from data/NAME, which stage 1 makes, to dump/NAME. Sources at other paths are taken as they are.
#
set -euo pipefail

stage=1       # First stage to run.
stop_stage=7  # Last stage to run.
nj=4          # Parts that stages 2, 4 and 5 are divided in, which run beside each other.
datadir=data  # Kaldi data directories of stage 1.
dumpdir=dump  # Formatted data directories of stage 2.
valid_set=dev # Name of the validation set.
cmd=""        # Where jobs run: local or slurm (cmd.sh); EVAGAN_BACKEND, or local, if empty.
job_options="" # Options for every job of stages 2, 4 and 5, e.g. "--max-jobs-run 50 --time 4:00:00 --retries 2".
mix=mix.yaml  # What is mixed; the paths of its sources are dump/NAME.
curation=conf/curation.yaml # Rules of curation, for source NAME those of conf/curation_NAME.yaml if it is there; if empty, nothing is curated.
shard_size="" # Write sources as tar shards (evagan shard) of so many MB of 16-bit audio, 2000 for example; if empty, as WAV files.
skip_broken=false # Go on without broken audio files.
train_config=conf/train_eva_gan.yaml # Training config.
forwarded=()
FORWARD_TO=./voc.sh
. utils/parse_options.sh
. ./path.sh
. ./cmd.sh
. utils/stages.sh

# check_kind NAME: end if dump/NAME has audio of the other kind: training would take the shards, whichever is newer.
check_kind() {
    local out=${dumpdir}/$1
    if [ -n "${shard_size}" ]; then
        [ ! -e "${out}/wav.scp" ] || die "${out} has WAV files: remove it, or leave --shard_size out"
    else
        [ ! -e "${out}/000000.tar" ] || die "${out} has shards: give --shard_size, or remove it"
    fi
}

# prepare_source NAME: curate data/NAME, and format it, or write it as shards, to dump/NAME.
prepare_source() {
    local name=$1 data=${datadir}/$1 out=${dumpdir}/$1 curated=${dumpdir}/curated/$1 rules=${curation}
    local options=(--sample-rate "${sample_rate}")
    if [ -n "${curation}" ]; then
        [ ! -s "${curation%.yaml}_${name}.yaml" ] || rules=${curation%.yaml}_${name}.yaml
        say "curation of ${data} by ${rules}"
        curate "${data}" "${curated}" "${rules}" "${against[@]}"
        against+=(--against "${curated}")
        data=${curated}/kept
    fi
    say "${data} to ${out}, ${sample_rate} Hz, mono, 16 bits${shard_size:+, in shards}"
    if [ -n "${shard_size}" ]; then
        shard "${data}" "${out}" "${options[@]}" --shard-size "${shard_size}" ${rules:+--rules "${rules}"}
        return
    fi
    [ "${skip_broken}" = false ] || options+=(--skip-broken)
    format "${data}" "${out}" "${options[@]}"
}

[ "${stage}" -le "${stop_stage}" ] || usage "--stage ${stage} is greater than --stop_stage ${stop_stage}"
[ -s "${mix}" ] || usage "there is no ${mix}; --mix names a mix.yaml"
[ -s "${train_config}" ] || usage "there is no ${train_config}; --train_config names the training config"
[ -z "${curation}" ] || [ -s "${curation}" ] || usage "there is no ${curation}; --curation names rules"
[[ ${shard_size} =~ ^([0-9]*\.)?[0-9]*$ ]] || usage "--shard_size ${shard_size}: it is a number of MB, such as 2000"
names=$(python utils/mix_sources.py "${mix}" "${dumpdir}")
sources=()
[ -z "${names}" ] || mapfile -t sources <<<"${names}"
[ "${#sources[@]}" -gt 0 ] || say "no source of ${mix} lies in ${dumpdir}: all are taken as they are"

# The sources take the place of a training set, which voc.sh asks for all the same: it is the development set.
run_voc() { # FIRST LAST
    ./voc.sh "${forwarded[@]}" --mix "${mix}" --nj "${nj}" --cmd "${cmd}" --job_options "${job_options}" \
        --datadir "${datadir}" --dumpdir "${dumpdir}" --train_set "${valid_set}" --valid_set "${valid_set}" \
        --skip_broken "${skip_broken}" --train_config "${train_config}" --stage "$1" --stop_stage "$2"
}

# In braces, so that bash has read all of it when it starts: the file may be edited during a long run.
{
    if in_range 1; then
        run_voc 1 1
    fi
    if in_range 1 || in_range 2; then
        for name in "${sources[@]}"; do
            [ -s "${datadir}/${name}/wav.scp" ] ||
                die "there is no ${datadir}/${name}, a source of ${mix}: stage 1 makes it, if its corpus is given;" \
                    "or give --mix a mix without it (share: 0)"
            check_kind "${name}"
        done
    fi
    if in_range 2; then
        sample_rate=$(python utils/sample_rate.py "${train_config}")
        against=() # What earlier sources have kept: the same recording is in one source only.
        for name in "${sources[@]}"; do
            prepare_source "${name}"
        done
    fi
    if [ "${stop_stage}" -ge 2 ]; then
        run_voc "$((stage > 2 ? stage : 2))" "${stop_stage}"
    fi
    exit
}
