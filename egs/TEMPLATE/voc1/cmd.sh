# shellcheck shell=bash disable=SC2034
# Where the jobs of voc.sh run. Every command takes the calling form of utils/run.pl (options: utils/job_form.sh).

backend=${cmd:-${EVAGAN_BACKEND:-local}} # local: processes on this machine; slurm: sbatch

case ${backend} in
    local)
        data_cmd=(run.pl)
        train_cmd=(run.pl)
        synth_cmd=(run.pl)
        score_cmd=(run.pl)
        ;;
    slurm)
        # Partition, account and time limit: SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT, which sbatch reads.
        data_cmd=(slurm.pl --mem 4G --retries 1)
        train_cmd=(slurm.pl --mem 32G --num-threads 8)
        synth_cmd=(slurm.pl --mem 8G --retries 1)
        score_cmd=(slurm.pl --mem 8G --retries 1)
        ;;
    *)
        echo "cmd.sh: unknown backend '${backend}' in --cmd or EVAGAN_BACKEND; known: local slurm" >&2
        exit 2
        ;;
esac
read -ra _options <<<"${job_options:-}"
data_cmd+=("${_options[@]}")
synth_cmd+=("${_options[@]}")
score_cmd+=("${_options[@]}")
