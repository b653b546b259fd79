#!/usr/bin/env bash
# Text to speech through EVA-GAN: an acoustic model of ESPnet, then a vocoder that ../voc1 has trained, in stages:
#   1 data preparation   2 formatting and tokens   3 statistics of features   4 training of the acoustic model
#     (3 and 4 end if the vocoder could not take the acoustic model's features)
#   5 text to speech   6 mels of the acoustic model   7 fine-tuning of the vocoder on them   8 scores before and after
# Every stage can be run alone (--stage N --stop_stage M) and again; what is done is not done twice.
#
set -euo pipefail

# General
stage=1      # First stage to run.
stop_stage=8 # Last stage to run.
nj=4         # Jobs at a time, in stages 2, 5, 6 and 8.
ngpu=0       # GPUs; 0 trains and synthesises on the CPU.
datadir=data # Kaldi data directories of stage 1.
dumpdir=dump # Formatted data directories of stage 2.
expdir=exp   # Experiments.

# Data
local_data_opts="" # Options for local/data.sh, quoted as in a shell.
train_set=train    # Name of the training set.
valid_set=dev      # Name of the validation set.
test_sets="test"   # Names of the test sets, separated by spaces.
skip_broken=false  # Go on without broken audio files.
token_type=char    # Tokens of the text: char or phn.
cleaner=none       # ESPnet's cleaner of text, e.g. tacotron.
g2p=none           # ESPnet's grapheme-to-phoneme conversion, e.g. g2p_en_no_space, with phn.

# Acoustic model
train_config=conf/train_tacotron2.yaml # Training config of the acoustic model.
train_args=""                          # Further options for its training, quoted as in a shell.
tag=""                                 # Name of the experiment; that of the config if empty.
inference_model=valid.loss.best.pth    # Checkpoint of the acoustic model.
inference_args=""                      # Further options for text to speech, e.g. "--maxlenratio 20".

# Vocoder
vocoder=../voc1/exp/voc_eva_gan/valid.mel.best.pth  # Checkpoint of the vocoder, its config.yaml beside it, or a pretrained name.
vocoder_config=../voc1/conf/train_eva_gan.yaml      # Training config of the vocoder, for fine-tuning.
finetune_args="--max_epoch 5 --optim_conf lr=5.0e-5 --optim2_conf lr=5.0e-5" # Further options for fine-tuning.
score_metrics=fast                                  # Metrics of stage 8, see `evagan score --help`.

. utils/parse_options.sh
. ./path.sh
. ./cmd.sh
. utils/stages.sh

need_vocoder() {
    [ -s "${vocoder}" ] ||
        die "there is no vocoder ${vocoder}; train one in ../voc1 (./run.sh --stop_stage 3) or name one with --vocoder"
}

# check_features: end unless the acoustic model's features can be turned into the mels of the vocoder, or, where it has
# not been trained yet, into those of its training config.
check_features() {
    local target=${vocoder}
    [ -e "${target}" ] || target=${vocoder_config}
    [ -e "${target}" ] || die "there is neither ${vocoder} nor ${vocoder_config}; --vocoder and --vocoder_config name them"
    python -m evagan_plugin.espnet.bin.check_mel "${train_config}" "${target}"
}

# speak OUT_DIR SET [OPTION ...]: run ESPnet's tts_inference over a set in parallel.
speak() {
    local out=$1 set=$2 scp=${dumpdir}/$2/spoken.scp model=${exp}/${inference_model} jobs made_by options
    shift 2
    need "${model}" 4
    need "${scp}" 2
    options=("$@" "${more_inference_options[@]}")
    made_by="$(readlink -f "${model}" "${vocoder}" | paste -sd ' ') ${options[*]}"
    if is_made "${out}" "${made_by}" "${scp}" "${dumpdir}/${set}/text" "${model}" "${vocoder}"; then
        say "${out} is up to date"
        return
    fi
    deal "${scp}" "${out}"
    say "${set} in ${jobs} job(s), logs are ${out}/log/tts.*.log"
    "${synth_cmd[@]}" --gpu "$((ngpu > 0))" JOB=1:"${jobs}" "${out}/log/tts.JOB.log" \
        python -m espnet2.bin.tts_inference --ngpu "$((ngpu > 0))" --num_workers 0 --key_file "${out}/log/part.JOB.scp" \
        --data_path_and_name_and_type "${dumpdir}/${set}/text,text,text" \
        --data_path_and_name_and_type "${scp},speech,sound" \
        --train_config "${exp}/config.yaml" --model_file "${model}" \
        --vocoder_file "${vocoder}" --output_dir "${out}/log/JOB" "${options[@]}"
    note_made "${out}" "${made_by}"
}

[ "${stage}" -le "${stop_stage}" ] || usage "--stage ${stage} is greater than --stop_stage ${stop_stage}"
[ -s "${train_config}" ] || die "there is no ${train_config}; --train_config names the training config"
tag=${tag:-$(basename "${train_config}" .yaml)}
tag=${tag#train_}
exp=${expdir}/tts_${tag}
stats=${expdir}/tts_stats_${tag}
tokens=${dumpdir}/tokens_${token_type}.txt
device=cpu
[ "${ngpu}" -eq 0 ] || device=cuda
# A name, not a path: a model that comes with the package.
[ -e "${vocoder}" ] || [[ ${vocoder} == *[/.]* ]] || vocoder=$(python utils/find_model.py "${vocoder}")
read -ra tests <<<"${test_sets}"
data_options=() more_train_options=() more_inference_options=() finetune_options=()
eval "data_options=(${local_data_opts}) more_train_options=(${train_args})"
eval "more_inference_options=(${inference_args}) finetune_options=(${finetune_args})"
text_options=(--token_type "${token_type}" --cleaner "${cleaner}" --g2p "${g2p}")

stage_1() {
    local set table
    say "stage 1: data preparation"
    local/data.sh --datadir "${datadir}" "${data_options[@]}"
    for set in "${train_set}" "${valid_set}" "${tests[@]}"; do
        for table in wav.scp text; do
            [ -s "${datadir}/${set}/${table}" ] || die "local/data.sh made no ${datadir}/${set}/${table}"
        done
    done
}

stage_2() {
    local set sample_rate format_options
    say "stage 2: formatting and tokens"
    sample_rate=$(python utils/sample_rate.py "${vocoder_config}")
    format_options=(--sample-rate "${sample_rate}")
    [ "${skip_broken}" = false ] || format_options+=(--skip-broken)
    for set in "${train_set}" "${valid_set}" "${tests[@]}"; do
        need "${datadir}/${set}/wav.scp" 1
        "${data_cmd[@]}" "${dumpdir}/${set}/log/format.log" \
            evagan format "${datadir}/${set}" "${dumpdir}/${set}" --nj "${nj}" "${format_options[@]}" ||
            die "${datadir}/${set} was not formatted; if that is for broken audio, --skip_broken true goes on without it"
        # Recordings without a transcript cannot be spoken.
        awk 'FILENAME == ARGV[1] { said[$1]; next } $1 in said' "${dumpdir}/${set}/text" "${dumpdir}/${set}/wav.scp" \
            >"${dumpdir}/${set}/spoken.scp.part"
        awk 'FILENAME == ARGV[1] { said[$1]; next } !($1 in said) { print "  no text, left out: " $1 }' \
            "${dumpdir}/${set}/text" "${dumpdir}/${set}/wav.scp" >&2
        mv "${dumpdir}/${set}/spoken.scp.part" "${dumpdir}/${set}/spoken.scp"
        say "${dumpdir}/${set}: $(wc -l <"${dumpdir}/${set}/spoken.scp") utterances with text"
    done
    "${data_cmd[@]}" "${dumpdir}/log/tokens.log" python -m espnet2.bin.tokenize_text "${text_options[@]}" \
        --field 2- --input "${dumpdir}/${train_set}/text" --output "${tokens}.part" --write_vocabulary true \
        --add_symbol "<blank>:0" --add_symbol "<unk>:1" --add_symbol "<sos/eos>:-1"
    mv "${tokens}.part" "${tokens}"
    say "${tokens}: $(wc -l <"${tokens}") tokens"
}

# set_train_options: put what stages 3 and 4 have in common into the array `train_options`.
set_train_options() {
    local part set
    train_options=(--config "${train_config}" --ngpu "${ngpu}" --token_list "${tokens}" --use_preprocessor true)
    train_options+=("${text_options[@]}")
    for part in train valid; do
        set=${train_set}
        [ "${part}" = train ] || set=${valid_set}
        train_options+=("--${part}_data_path_and_name_and_type" "${dumpdir}/${set}/text,text,text")
        train_options+=("--${part}_data_path_and_name_and_type" "${dumpdir}/${set}/spoken.scp,speech,sound")
    done
}

stage_3() {
    local train_options
    say "stage 3: statistics of features"
    need "${tokens}" 2
    check_features
    if newer "${stats}/train/feats_stats.npz" "${dumpdir}/${train_set}/spoken.scp" "${tokens}" "${train_config}"; then
        say "${stats} is up to date"
        return
    fi
    set_train_options
    "${train_cmd[@]}" "${stats}/collect_stats.log" python -m espnet2.bin.tts_train "${train_options[@]}" \
        --ngpu 0 --normalize none --collect_stats true --write_collected_feats false --output_dir "${stats}" \
        --train_shape_file "${dumpdir}/${train_set}/spoken.scp" \
        --valid_shape_file "${dumpdir}/${valid_set}/spoken.scp"
}

stage_4() {
    local train_options
    say "stage 4: training of the acoustic model"
    need "${stats}/train/feats_stats.npz" 3
    check_features
    set_train_options
    [ "${ngpu}" -le 1 ] || train_options+=(--multiprocessing_distributed true)
    say "log: ${exp}/train.log; tensorboard --logdir ${exp}/tensorboard"
    "${train_cmd[@]}" --gpu "${ngpu}" "${exp}/train.log" python -m espnet2.bin.tts_train "${train_options[@]}" \
        --normalize global_mvn --normalize_conf stats_file="${stats}/train/feats_stats.npz" \
        --train_shape_file "${stats}/train/text_shape" --valid_shape_file "${stats}/valid/text_shape" \
        --output_dir "${exp}" --resume true "${more_train_options[@]}"
}

stage_5() {
    local set out
    say "stage 5: text to speech"
    need_vocoder
    for set in "${tests[@]}"; do
        out=${exp}/speech/${set}
        speak "${out}" "${set}"
        mkdir -p "${out}/wav"
        find "${out}"/log/*/wav -name '*.wav' -exec mv -t "${out}/wav" {} +
        say "wavs: ${out}/wav"
    done
}

stage_6() {
    local set out
    say "stage 6: mels of the acoustic model, with teacher forcing"
    need_vocoder
    for set in "${train_set}" "${valid_set}" "${tests[@]}"; do
        out=${exp}/mels/${set}
        speak "${out}/espnet" "${set}" --use_teacher_forcing true
        cat "${out}"/espnet/log/*/denorm/feats.scp >"${out}/espnet/feats.scp"
        "${data_cmd[@]}" "${out}/log/convert.log" python -m evagan_plugin.espnet.bin.convert_feats \
            "${exp}/config.yaml" "${vocoder}" "${out}/espnet/feats.scp" "${dumpdir}/${set}/spoken.scp" "${out}"
    done
}

stage_7() {
    local set part tune_options
    say "stage 7: fine-tuning of the vocoder"
    need_vocoder
    [ -s "${vocoder_config}" ] || die "there is no ${vocoder_config}; --vocoder_config names the vocoder's training config"
    tune_options=(--config "${vocoder_config}" --init_param "${vocoder}" --ngpu "${ngpu}" --resume true)
    for part in train valid; do
        set=${train_set}
        [ "${part}" = train ] || set=${valid_set}
        need "${exp}/mels/${set}/feats.scp" 6
        tune_options+=("--${part}_data_path_and_name_and_type" "${exp}/mels/${set}/wav.scp,wav,sound")
        tune_options+=("--${part}_data_path_and_name_and_type" "${exp}/mels/${set}/feats.scp,feats,npy")
    done
    [ "${ngpu}" -le 1 ] || tune_options+=(--multiprocessing_distributed true)
    say "log: ${exp}/finetuned/train.log"
    "${train_cmd[@]}" --gpu "${ngpu}" "${exp}/finetuned/train.log" \
        python -m evagan_plugin.espnet.bin.vocoder_train "${tune_options[@]}" --output_dir "${exp}/finetuned" \
        "${finetune_options[@]}"
}

stage_8() {
    local set out system model
    say "stage 8: scores before and after fine-tuning"
    need_vocoder
    need "${exp}/finetuned/valid.mel.best.pth" 7
    for set in "${tests[@]}"; do
        need "${exp}/mels/${set}/feats.scp" 6
        out=${exp}/scores/${set}
        for system in before after; do
            model=${vocoder}
            [ "${system}" = before ] || model=${exp}/finetuned/valid.mel.best.pth
            "${synth_cmd[@]}" --gpu "$((ngpu > 0))" "${out}/log/synth_${system}.log" \
                evagan synth "${model}" "${exp}/mels/${set}/feats.scp" "${out}/${system}" --device "${device}"
        done
        "${score_cmd[@]}" "${out}/log/score.log" evagan score "${exp}/mels/${set}" "before=${out}/before" \
            "after=${out}/after" --metrics "${score_metrics}" --nj "${nj}" --out "${out}" --results "${out}/RESULTS.md"
        cat "${out}/scores.md"
        say "table: ${out}/RESULTS.md"
    done
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
    if in_range 8; then stage_8; fi
    say "done: ${exp}"
    exit
}
