#!/usr/bin/env bash
# Run jobs through SLURM, as one array, and wait for them; the calling form is in job_form.sh. Exit status 1 if any failed.
# Partition, account and the like: sbatch reads them from SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT.
# What SLURM requeues (a node that dies, preemption) is waited for; that counts as no failure.
set -euo pipefail
# shellcheck source=job_form.sh
. "$(dirname "${BASH_SOURCE[0]}")"/job_form.sh
parse_job_form slurm.pl "$@"
command -v sbatch >/dev/null || usage_error "slurm.pl: no sbatch on this machine; choose run.pl in cmd.sh"

logs=$(dirname "${log}")
script=${logs}/q/$(basename "${log}").sh
mkdir -p "${logs}/q"
{
    echo "#!/usr/bin/env bash"
    echo "set -o pipefail"
    echo "cd $(printf %q "${PWD}")"
    # SLURM may start jobs without this shell's environment.
    for variable in PATH LC_ALL OMP_NUM_THREADS; do
        [ ! -v "${variable}" ] || echo "export ${variable}=$(printf %q "${!variable}")"
    done
    echo "case \${SLURM_ARRAY_TASK_ID} in"
    for job in "${jobs[@]}"; do
        mkdir -p "$(dirname "$(for_job "${job}" "${log}")")"
        printf '%s)\n    echo %q\n' "${job}" "# $(shell_command "${job}")"
        # shellcheck disable=SC2016
        echo '    echo "# Job ${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID} on ${SLURMD_NODENAME:-a node}, started at $(date)"'
        printf '    %s\n    ;;\n' "$(shell_command "${job}")"
    done
    echo "esac"
    cat <<'END'
code=$?
echo "# Ended (code ${code}) at $(date), elapsed ${SECONDS} s"
exit "${code}"
END
} >"${script}"

# What SLURM itself has to say of a job (time limit, memory) goes to its log, too.
output=${log//%/%%}
[ -z "${name}" ] || output=${output//${name}/%a}
options=(--job-name="$(basename "${log}")" --cpus-per-task="${num_threads}" --output="${output}" --open-mode=truncate --requeue)
[ -z "${mem}" ] || options+=(--mem="${mem}")
[ "${num_nodes}" -le 1 ] || options+=(--nodes="${num_nodes}" --ntasks-per-node=1)
[ "${gpu}" -eq 0 ] || options+=(--gres="gpu:${gpu}")
[ -z "${time_limit}" ] || options+=(--time="${time_limit}")
at_once=""
[ "${max_jobs_run}" -eq 0 ] || at_once="%${max_jobs_run}"

submitted=""
end_all() {
    [ -z "${submitted}" ] || scancel "${submitted}"
    exit 130
}
trap end_all INT TERM HUP

# Whether jobs of the array wait or run. A controller that does not answer is asked again: jobs do not end with it.
in_queue() {
    local said
    until said=$(squeue --noheader --jobs="${submitted}" 2>&1); do
        [[ ${said} != *"Invalid job id"* ]] || return 1
        echo "slurm.pl: ${said}" >&2
        nap
    done
    [ -n "${said}" ]
}

nap() {
    # In the background, because a trap waits for what runs in front.
    sleep "${SLURM_POLL_SECONDS:-5}" &
    wait $!
}

run_jobs() {
    local job file state patience=5
    why=()
    for job in "$@"; do
        rm -f "$(for_job "${job}" "${log}")"
    done
    submitted=$(sbatch --parsable --array="$(IFS=, && echo "$*")${at_once}" "${options[@]}" "${script}")
    submitted=${submitted%%;*}
    echo "slurm.pl: ${log} is SLURM job ${submitted}" >&2
    while in_queue; do
        nap
    done
    while read -r job state; do
        [ "${state}" = COMPLETED ] || why[${job}]=${state}
    done < <(squeue --noheader --array --states=all --jobs="${submitted}" --format='%K %T' 2>/dev/null)
    for job in "$@"; do
        file=$(for_job "${job}" "${log}")
        # A shared file system may show a log a little later than the queue shows the end.
        while [ -z "${why[${job}]:-}" ] && ! grep -qs '^# Ended' "${file}" && [ "${patience}" -gt 0 ]; do
            patience=$((patience - 1))
            sleep 1
        done
        grep -qs '^# Ended (code 0)' "${file}" || failed+=("${job}")
    done
}

run_with_retries
