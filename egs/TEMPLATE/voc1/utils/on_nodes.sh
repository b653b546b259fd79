#!/usr/bin/env bash
# Run a training of ESPnet on every node of a SLURM job, inside of which this runs: on_nodes.sh FILE COMMAND ...
# The processes find each other by a file on the disk that the nodes share; its name begins with FILE.
set -euo pipefail
# One for each start: SLURM may start a job again, and what the processes of the first start left is of no use to others.
meeting=${1}.${SLURM_JOB_ID}.${SLURM_RESTART_COUNT:-0}
shift
trap 'rm -f "${meeting}"' EXIT
# When one process fails, the others would wait for it.
srun --kill-on-bad-exit=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
    "$@" --dist_launcher slurm --dist_init_method "file://$(realpath "${meeting}")"
