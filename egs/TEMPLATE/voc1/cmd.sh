# shellcheck shell=bash disable=SC2034
# Where the jobs of voc.sh run. Every command takes the calling form of utils/run.pl.

backend=${EVAGAN_BACKEND:-local} # local: processes on this machine; slurm: sbatch

case ${backend} in
    local)
        data_cmd=(run.pl)
        train_cmd=(run.pl)
        synth_cmd=(run.pl)
        score_cmd=(run.pl)
        ;;
    slurm)
        # Partition, account and time limit: SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT, which sbatch reads.
        data_cmd=(slurm.pl --mem 4G --num-threads 4)
        train_cmd=(slurm.pl --mem 32G --num-threads 8)
        synth_cmd=(slurm.pl --mem 8G --num-threads 2)
        score_cmd=(slurm.pl --mem 8G --num-threads 4)
        ;;
    *)
        echo "cmd.sh: unknown backend '${backend}' in EVAGAN_BACKEND; known: local slurm" >&2
        exit 2
        ;;
esac
