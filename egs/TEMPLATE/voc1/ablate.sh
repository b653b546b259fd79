#!/usr/bin/env bash
# Train variants of one config on the same data, with the same seeds and number of steps, and set their quality, time per
# step and peak memory in one table: ./ablate.sh --train_config conf/train_NAME.yaml, and the options of ./run.sh.
#
# Variants: base; conf/tuning/NAME.yaml; conf/tuning/BASE/NAME.yaml, which are for that base only; only_CATEGORY, which is
# trained on that category of the manifest alone. Runs that are finished are not repeated.
#
set -euo pipefail

train_config=conf/train_eva_gan_mini_16k.yaml   # The base: one of the recipe's training configs.
only=""                                         # Variants to train, separated by spaces; all if empty.
seeds="0"                                       # Seeds to train each variant with, separated by spaces.
steps=1000                                      # Training steps of each run.
epoch_steps=200                                 # Of these, between two validations.
lr_end=0.1                                      # Share of the learning rate left in the last of several epochs; empty: as configured.
train_args=""                                   # Further options for every training, quoted as in a shell.
dumpdir=dump                                    # Formatted data directories.
train_set=train                                 # Name of the training set.
test_set="test"                                 # Name of the set that is synthesised and scored.
score_metrics=fast                              # Metrics of the table, see `evagan score --help`.
expdir=""                                       # Runs and table; exp/ablate_BASE_STEPS if empty.
forwarded=()
FORWARD_TO="./run.sh ./voc.sh"
. utils/parse_options.sh
. ./path.sh
. utils/stages.sh

corpus_given=false # Whether options of run.sh itself say where the corpus is, or what of it.
for ((place = 0; place < ${#forwarded[@]}; place += 2)); do
    ! grep -q "^${forwarded[place]#--}=" ./run.sh || corpus_given=true
    case ${forwarded[place]} in
        --stage | --stop_stage | --tag | --model | --tuning | --controls | --inference_model)
            usage "${forwarded[place]} is not for ablate.sh, which sets it for every run itself"
            ;;
    esac
done
base=$(basename "${train_config}" .yaml)
base=${base#train_}
expdir=${expdir:-exp/ablate_${base}_${steps}}

# tuning_of VARIANT: print the variant's config of differences; none for the base and for other data.
tuning_of() {
    local file
    for file in "conf/tuning/${base}/$1.yaml" "conf/tuning/$1.yaml"; do
        if [ -s "${file}" ]; then
            echo "${file}"
            return
        fi
    done
}

# list_variants: print what is trained without --only. Other data differ only where there are several categories.
list_variants() {
    local categories
    categories=$(cut -d ' ' -f 2- "${dumpdir}/${train_set}/utt2kind" 2>/dev/null | sort -u)
    {
        echo base
        find -H conf/tuning "conf/tuning/${base}" -maxdepth 1 -name '*.yaml' -printf '%f\n' 2>/dev/null | sort | sed 's/\.yaml$//'
        [[ ${categories} != *$'\n'* ]] || grep -ix speech <<<"${categories}" | sed 's/^/only_/'
    } | paste -sd ' '
}

# recipe OPTION ...: run.sh with what all runs have in common; the user's own options come last. Every variant begins from nothing:
# weights of the base would fit none but the base.
recipe() {
    ./run.sh --train_config "${train_config}" --dumpdir "${dumpdir}" --expdir "${expdir}" --test_sets "${test_set}" \
        --score_metrics "${score_metrics}" --protocol "" --init_model "" "$@" "${forwarded[@]}"
}

# run VARIANT SEED: train, synthesise and score, unless that is done.
run() {
    local tag=$1_seed$2 set=${train_set} controls=false first=3 lacking=0 tuning run scores options
    run=${expdir}/voc_${tag}
    scores=${run}/scores/${test_set}/scores.json
    tuning=$(tuning_of "$1")
    if [[ $1 == only_* ]]; then
        set=${train_set}_${1#only_}
        python utils/select_category.py "${dumpdir}/${train_set}" "${1#only_}" "${dumpdir}/${set}"
    fi
    # The floor and the ceiling stand in the table once.
    [ "$1" != base ] || [ "$2" != "${seed_list[0]}" ] || controls=true
    options="--seed $2 --max_epoch $((steps / epoch_steps)) --num_iters_per_epoch ${epoch_steps} --num_att_plot 0"
    options+=" --keep_nbest_models 1 --use_matplotlib false${schedule} ${train_args}"
    mkdir -p "${run}"
    {
        echo "# ${options}"
        echo "# ${set}, ${test_set}: $(cat "${dumpdir}"/{"${set}","${test_set}"}/{wav.scp,utt2num_samples} | cksum)"
        cat "${train_config}" ${tuning:+"${tuning}"}
    } >"${run}/settings.part"
    if [ -e "${run}/settings" ] && ! cmp -s "${run}/settings" "${run}/settings.part"; then
        die "${run} was made with other settings (compare settings and settings.part in it): remove it, or choose another --expdir"
    fi
    mv "${run}/settings.part" "${run}/settings"
    if newer "${scores}" "${run}/checkpoint.pth"; then
        python utils/has_metrics.py "${scores}" "${score_metrics}" || lacking=$?
        [ "${lacking}" -le 1 ] || exit "${lacking}"
        if [ "${lacking}" -eq 0 ]; then
            say "${tag} is done"
            return
        fi
        first=5
    fi
    say "${tag}: $([ "${first}" -eq 5 ] && echo "scores alone" || echo "${steps} steps")"
    # All runs are compared after the same number of steps, not each at its best.
    recipe --stage "${first}" --stop_stage 5 --tag "${tag}" --tuning "${tuning}" --train_set "${set}" --train_args "${options}" \
        --inference_model latest.pth --controls "${controls}"
}

[ -s "${train_config}" ] || usage "there is no ${train_config}; --train_config names the base: $(echo conf/train_*.yaml)"
[ "${epoch_steps}" -le "${steps}" ] || epoch_steps=${steps}
if [ "${epoch_steps}" -eq 0 ] || [ $((steps % epoch_steps)) -ne 0 ]; then
    usage "--steps ${steps} is not a multiple of --epoch_steps ${epoch_steps}"
fi
# The last weights are judged: at a full learning rate they would be as good as the last few batches happened to be.
schedule=""
if [ -n "${lr_end}" ]; then
    gamma=$(awk -v share="${lr_end}" -v epochs=$((steps / epoch_steps)) \
        'BEGIN {
            printf "%.6f", share ^ (1 / (epochs > 1 ? epochs - 1 : 1))
            exit !(share ~ /^[0-9.]+(e-[0-9]+)?$/ && share >= 1e-6 && share <= 1)
        }') ||
        usage "--lr_end takes a number from 0.000001 to 1, not '${lr_end}'"
    for part in "" 2; do
        schedule+=" --scheduler${part} exponentiallr --scheduler${part}_conf gamma=${gamma}"
    done
fi
read -ra seed_list <<<"${seeds}"
[ ${#seed_list[@]} -gt 0 ] || usage "--seeds is empty"
for seed in "${seed_list[@]}"; do
    [[ ${seed} =~ ^[0-9]+$ ]] || usage "--seeds takes whole numbers, not '${seed}'"
done
[[ -z ${lr_end} || ${train_args} != *--scheduler* ]] || usage "--train_args sets a scheduler: that takes --lr_end ''"
for variant in ${only}; do
    [[ ${variant} == base || ${variant} == only_* || -n $(tuning_of "${variant}") ]] ||
        usage "no variant '${variant}' of ${base}; known: $(list_variants) only_CATEGORY"
done

# In braces, so that bash has read all of it when it starts: the file may be edited during a long run.
{
    if "${corpus_given}" || [ ! -s "${dumpdir}/${train_set}/wav.scp" ] || [ ! -s "${dumpdir}/${test_set}/wav.scp" ]; then
        recipe --stage 1 --stop_stage 2
    fi
    read -ra variants <<<"${only:-$(list_variants)}"
    for seed in "${seed_list[@]}"; do
        for variant in "${variants[@]}"; do
            run "${variant}" "${seed}"
        done
    done
    python utils/ablation_table.py "${expdir}" "${test_set}"
    exit
}
