#!/usr/bin/env bash
# Train and judge a vocoder on one corpus, in stages:
#   1 data preparation   2 formatting   3 training   4 synthesis   5 scoring   6 listening test   7 packing
# Every stage can be run alone (--stage N --stop_stage N) and again; what is done is not done twice.
#
set -euo pipefail

# General
stage=1      # First stage to run.
stop_stage=7 # Last stage to run.
nj=4         # Parts that stages 2, 4 and 5 are divided in, which run beside each other.
ngpu=0       # GPUs; 0 trains and synthesises on the CPU.
num_nodes=1  # Nodes of a cluster that the training runs on, --ngpu GPUs each (--cmd slurm).
datadir=data # Kaldi data directories of stage 1.
dumpdir=dump # Formatted data directories of stage 2.
expdir=exp   # Experiments.
cmd=""       # Where jobs run: local or slurm (cmd.sh); EVAGAN_BACKEND, or local, if empty.
job_options="" # Options for every job of stages 2, 4 and 5, e.g. "--max-jobs-run 50 --time 4:00:00 --retries 2".

# Data
local_data_opts="" # Options for local/data.sh, quoted as in a shell.
train_set=train    # Name of the training set.
valid_set=dev      # Name of the validation set.
test_sets="test"   # Names of the test sets, separated by spaces.
curation=""        # Rules (conf/curation.yaml) by which the training set is curated before it is formatted.
skip_broken=false  # Go on without broken audio files.
mix=""             # mix.yaml of corpora to train on in the place of the training set, which may be one of them.
feats_type=""      # Train from feats.scp beside wav.scp, of this ESPnet type (npy or kaldi_ark); else from the audio.

# Training
train_config=conf/train_eva_gan.yaml # Training config.
tuning=""                            # Config that states differences (conf/tuning/NAME.yaml), laid over train_config.
train_args=""                        # Further options for the training, quoted as in a shell, e.g. "--max_epoch 10".
train_threads=2                      # CPU threads of the training.
init_model=""                        # Model to start from, of the same config: a checkpoint or a pretrained name; judged beside as `before`.
tag=""                               # Name of the experiment; that of the config if empty.

# Judging
model=""                           # Trained model of any recipe, or a pretrained name, judged on the test sets in the place of one trained here.
inference_model=valid.mel.best.pth # Checkpoint of the experiment to synthesise with.
score_metrics=fast                 # Metrics of stage 5, see `evagan score --help`.
protocol=""                        # Published figures to print beside: libritts (24 kHz) or ljspeech (22.05 kHz).
controls=true                      # Also judge the same model untrained, and the reference itself.
compare_exps=""                    # Other experiments (directories) for the same table, separated by spaces.
listen_opts=""                     # Options for `evagan listen create`, quoted as in a shell.

. utils/parse_options.sh
. ./path.sh
. ./cmd.sh
. utils/stages.sh

# follow LOG: show the course of a training while it runs; end_follow ends it.
follow() {
    mkdir -p "$(dirname "$1")"
    touch "$1"
    # tail's own complaints go nowhere, and only after sed has got this script's standard error.
    tail -n 0 -F "$1" > >(sed -unE \
        -e 's/.*INFO: ([0-9]+)epoch results: \[train\].*[^_a-z]mel=([0-9.]+).*\[valid\].*[^_a-z]mel=([0-9.]+).*/  epoch \1: mel loss \2 in training, \3 in validation/p' \
        -e 's/.*INFO: ([0-9]+\/[0-9]+)epoch started\.?( Estimated.*)?/  epoch \1 begins.\2/p' >&2) 2>/dev/null &
    follower=$!
}
end_follow() {
    [ -z "${follower:-}" ] || kill "${follower}" 2>/dev/null || true
    follower=""
}
trap end_follow EXIT

# synthesize OUT_DIR WAV_SCP MODEL [OPTION ...]: synthesise in parallel, to OUT_DIR/wav.scp.
synthesize() {
    local out=$1 scp=$2 model=$3 parts join_nj state made_by command synth_job=("${synth_cmd[@]}" --gpu "$((ngpu > 0))")
    shift 3
    state=$(state_of "${model}")
    made_by="$(readlink -f "${model}") ${state} $*"
    if is_made "${out}" "${made_by}" "${scp}"; then
        say "${out} is up to date"
        return
    fi
    command=(evagan synth "${model}" "${scp}" "${out}" --device "${device}" "$@")
    count_parts "${scp}"
    say "synthesis in ${parts} part(s), logs are ${out}/log/synth.*log"
    # Until all are there: parts of another model must not be taken for this one's.
    rm -f "${out}/wav.scp"
    in_parts synth_job "${out}/log/synth" "$(contents_of "$(dirname "${scp}")"/*) ${state}" "${command[@]}"
    "${synth_job[@]}" "${out}/log/synth.log" "${command[@]}"
    note_made "${out}" "${made_by}"
}

# list_systems SET: put NAME=DIRECTORY of this experiment and of compare_exps into the array `systems`, and what stage 5
# needs to time their models into `models`.
list_systems() {
    local other name checkpoint
    need "${exp}/synth/$1/wav.scp" 4
    systems=("${tag}=${exp}/synth/$1")
    models=(--model "${tag}=${model:-${exp}/${inference_model}}")
    for other in "${others[@]}"; do
        name=$(basename "${other}")
        name=${name#voc_}
        need "${other}/synth/$1/wav.scp" 4
        systems+=("${name}=${other}/synth/$1")
        checkpoint=$(cat "${other}/model" 2>/dev/null || echo "${other}/${inference_model}")
        [ ! -e "${checkpoint}" ] || models+=(--model "${name}=${checkpoint}")
    done
}

[ "${stage}" -le "${stop_stage}" ] || usage "--stage ${stage} is greater than --stop_stage ${stop_stage}"
[[ ${tag} != *[=/]* ]] || usage "--tag ${tag}: it names a directory and a system of the scores, without = and /"
[ -z "${tuning}" ] || [ -z "${model}" ] || usage "--tuning changes a training, and with --model nothing is trained"
[ -z "${tuning}" ] || [ -s "${tuning}" ] || usage "there is no ${tuning}; --tuning names a config of differences"
read -ra tests <<<"${test_sets}"
if [ -n "${model}" ]; then
    [ -e "${model}" ] || [[ ${model} != */* && ${model} != *.* ]] ||
        usage "there is no ${model}; --model names a trained model, such as exp/voc_NAME/valid.mel.best.pth"
    model=$(python utils/find_model.py "${model}")
    # A checkpoint and what stage 7 packed have the name of their experiment, another packed model that of its directory.
    model_path=$(readlink -f "${model}")
    source=${model_path}
    [ -d "${source}" ] || source=$(dirname "${source}")
    [ "$(basename "${source}")" != packed ] || source=$(dirname "${source}")
    tag=${tag:-$(basename "${source}")}
    tag=${tag#voc_}
    exp=${expdir}/voc_${tag}
    # Models of different recipes may have one name: the results of one must not be overwritten by another's.
    if [ -e "${exp}" ] && [ "$(cat "${exp}/model" 2>/dev/null)" != "${model_path}" ]; then
        die "${exp} is of $(cat "${exp}/model" 2>/dev/null || echo "a model trained here"), not of ${model_path}: give --tag NAME"
    fi
    sets=("${tests[@]}")
else
    [ -s "${train_config}" ] || usage "there is no ${train_config}; --train_config names the training config"
    tag=${tag:-$(basename "${train_config}" .yaml)${tuning:+_$(basename "${tuning}" .yaml)}}
    tag=${tag#train_}
    exp=${expdir}/voc_${tag}
    [ ! -e "${exp}/model" ] || die "${exp} is of $(cat "${exp}/model"), judged by --model: give --tag NAME"
    sets=()
    for name in "${train_set}" "${valid_set}" "${tests[@]}"; do
        [[ " ${sets[*]} " == *" ${name} "* ]] || sets+=("${name}") # mix.sh has no training set of its own
    done
fi
[ -z "${curation}" ] || [ -s "${curation}" ] || usage "there is no ${curation}; --curation names rules, such as conf/curation.yaml"
[ -z "${mix}" ] || [ -s "${mix}" ] || usage "there is no ${mix}; --mix names a mix.yaml"
[ -z "${mix}" ] || [ -z "${feats_type}" ] || usage "--feats_type ${feats_type}: a mix has audio alone"
[ "${num_nodes}" -le 1 ] || [ "${backend}" != local ] || usage "--num_nodes ${num_nodes}: this machine is one; --cmd slurm has nodes"
[ -z "${model}" ] || init_model="" # Nothing is trained.
device=cpu
[ "${ngpu}" -eq 0 ] || device=cuda
read -ra others <<<"${compare_exps}"
if [ -n "${tuning}" ]; then
    python utils/layer_config.py "${train_config}" "${tuning}" "${exp}/train.yaml"
    train_config=${exp}/train.yaml
fi
data_options=() more_train_options=() listen_options=()
eval "data_options=(${local_data_opts}) more_train_options=(${train_args}) listen_options=(${listen_opts})"

stage_1() {
    local set
    say "stage 1: data preparation"
    local/data.sh --datadir "${datadir}" "${data_options[@]}"
    for set in "${sets[@]}"; do
        [ -s "${datadir}/${set}/wav.scp" ] || die "local/data.sh made no ${datadir}/${set}/wav.scp"
        say "${datadir}/${set}: $(wc -l <"${datadir}/${set}/utt2spk") utterances"
    done
}

stage_2() {
    local set data sample_rate format_options
    say "stage 2: formatting"
    for set in "${sets[@]}"; do
        need "${datadir}/${set}/wav.scp" 1
    done
    sample_rate=$(python utils/sample_rate.py "${model:-${train_config}}")
    format_options=(--sample-rate "${sample_rate}")
    [ "${skip_broken}" = false ] || format_options+=(--skip-broken)
    for set in "${sets[@]}"; do
        data=${datadir}/${set}
        if [ -n "${curation}" ] && [ "${set}" = "${train_set}" ]; then
            say "curation of ${data}"
            curate "${data}" "${dumpdir}/curated/${set}" "${curation}"
            data=${dumpdir}/curated/${set}/kept
        fi
        say "${data} to ${dumpdir}/${set}, ${sample_rate} Hz, mono, 16 bits"
        format "${data}" "${dumpdir}/${set}" "${format_options[@]}"
    done
}

stage_3() {
    local set part train_options train_job=("${train_cmd[@]}" --gpu "${ngpu}") on_nodes=()
    if [ -n "${model}" ]; then
        say "stage 3: nothing to train, --model is ${model}"
        return
    fi
    say "stage 3: training"
    train_options=(--config "${train_config}" --output_dir "${exp}" --ngpu "${ngpu}" --resume true)
    for part in train valid; do
        set=${train_set}
        [ "${part}" = train ] || set=${valid_set}
        if [ "${part}" = train ] && [ -n "${mix}" ]; then
            train_options+=(--train_data_path_and_name_and_type "${mix},wav,mix")
            continue
        fi
        need "${dumpdir}/${set}/wav.scp" 2
        train_options+=("--${part}_data_path_and_name_and_type" "${dumpdir}/${set}/wav.scp,wav,sound")
        if [ -n "${feats_type}" ]; then
            [ -s "${dumpdir}/${set}/feats.scp" ] || die "there is no ${dumpdir}/${set}/feats.scp for --feats_type ${feats_type}"
            train_options+=("--${part}_data_path_and_name_and_type" "${dumpdir}/${set}/feats.scp,feats,${feats_type}")
        fi
    done
    [ -z "${init_model}" ] || train_options+=(--init_param "${init_model}")
    [ "$((ngpu * num_nodes))" -le 1 ] || train_options+=(--multiprocessing_distributed true)
    if [ "${num_nodes}" -gt 1 ]; then
        train_job+=(--num-nodes "${num_nodes}")
        on_nodes=(utils/on_nodes.sh "${exp}/.meeting")
        [ "${ngpu}" -gt 0 ] || train_options+=(--dist_backend gloo)
    fi
    say "log: ${exp}/train.log; to watch: tensorboard --logdir ${exp}/tensorboard"
    follow "${exp}/train.log"
    "${train_job[@]}" "${exp}/train.log" env OMP_NUM_THREADS="${train_threads}" "${on_nodes[@]}" \
        python -m evagan_plugin.espnet.bin.vocoder_train "${train_options[@]}" "${more_train_options[@]}"
    end_follow
}

stage_4() {
    local set before checkpoint=${model:-${exp}/${inference_model}}
    say "stage 4: synthesis"
    if [ -n "${model}" ]; then
        mkdir -p "${exp}"
        echo "${model_path}" >"${exp}/model"
    fi
    [ -e "${model}" ] || need "${checkpoint}" 3
    [ -z "${init_model}" ] || before=$(python utils/find_model.py "${init_model}")
    for set in "${tests[@]}"; do
        need "${dumpdir}/${set}/wav.scp" 2
        synthesize "${exp}/synth/${set}" "${dumpdir}/${set}/wav.scp" "${checkpoint}"
        [ -z "${init_model}" ] || synthesize "${exp}/before/${set}" "${dumpdir}/${set}/wav.scp" "${before}"
        [ "${controls}" = false ] ||
            synthesize "${exp}/untrained/${set}" "${dumpdir}/${set}/wav.scp" "${checkpoint}" --untrained
    done
}

stage_5() {
    local set out systems made models options parts join_nj score_job=("${score_cmd[@]}" --gpu "$((ngpu > 0))")
    say "stage 5: scoring"
    rm -f "${exp}/RESULTS.md.part"
    for set in "${tests[@]}"; do
        list_systems "${set}"
        out=${exp}/scores/${set}
        options=(--metrics "${score_metrics}" --out "${out}" --device "${device}")
        [ -z "${init_model}" ] || systems+=("before=${exp}/before/${set}")
        if [ "${controls}" = true ]; then
            systems+=("untrained=${exp}/untrained/${set}")
            options+=(--ground-truth)
        fi
        if [ -s "${dumpdir}/${set}/utt2kind" ]; then
            mkdir -p "${out}"
            sed -e $'1iutt_id\tcategory' -e $'s/ /\t/' "${dumpdir}/${set}/utt2kind" >"${out}/manifest.tsv"
            options+=(--manifest "${out}/manifest.tsv")
        fi
        made=("${systems[@]#*=}")
        count_parts "${dumpdir}/${set}/wav.scp"
        in_parts score_job "${out}/log/score" "$(contents_of "${dumpdir}/${set}"/* "${made[@]/%//synth.jsonl}")" \
            evagan score "${dumpdir}/${set}" "${systems[@]}" "${options[@]}"
        "${score_job[@]}" --num-threads "${join_nj}" "${out}/log/compare.log" \
            evagan compare "${dumpdir}/${set}" "${systems[@]}" "${options[@]}" --results "${out}/RESULTS.md" \
            "${models[@]}" ${protocol:+--protocol "${protocol}"} --nj "${join_nj}"
        evagan plot "${dumpdir}/${set}" "${systems[@]}" --out "${out}/spectrograms.png" >/dev/null
        cat "${out}/RESULTS.md" >>"${exp}/RESULTS.md.part"
        cat "${out}/scores.md"
        say "wavs: ${exp}/synth/${set}; to hear and see them in a browser: ${out}/report.html; a picture: ${out}/spectrograms.png"
    done
    mv "${exp}/RESULTS.md.part" "${exp}/RESULTS.md"
    say "table: ${exp}/RESULTS.md"
}

stage_6() {
    local set out systems models
    say "stage 6: listening test"
    for set in "${tests[@]}"; do
        list_systems "${set}"
        out=${exp}/listening/${set}
        if [ -e "${out}/test.yaml" ]; then
            say "${out} is there already, with its votes; remove it to make a new one"
            continue
        fi
        evagan listen create --reference "${dumpdir}/${set}" --out "${out}" "${listen_options[@]}" "${systems[@]}"
        say "serve it: evagan listen serve ${out}"
    done
}

stage_7() {
    local scores=${exp}/scores/${tests[0]}/scores.json options=(--test-data "${dumpdir}/${tests[0]}")
    if [ -n "${model}" ]; then
        say "stage 7: nothing to pack, ${model} is of another experiment"
        return
    fi
    say "stage 7: packing"
    need "${exp}/${inference_model}" 3
    # The card of another checkpoint must not stay, nor figures that are older than the weights.
    rm -f "${exp}/packed/README.md"
    ! newer "${scores}" "${exp}/${inference_model}" || options+=(--scores "${scores}" --system "${tag}")
    evagan pack "${exp}/${inference_model}" "${exp}/packed" --data "${mix:-${dumpdir}/${train_set}}" "${options[@]}"
}

# In braces, so that bash has read all of it when it starts: the file may be edited during a long run.
{
    if in_range 1; then stage_1; fi
    if in_range 2; then stage_2; fi
    if in_range 3; then stage_3; fi
    if in_range 4; then stage_4; fi
    if in_range 5; then stage_5; fi
    if in_range 6; then stage_6; fi
    if in_range 7; then stage_7; fi
    say "done: ${exp}"
    exit
}
