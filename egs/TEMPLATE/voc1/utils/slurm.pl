#!/usr/bin/env bash
# Run jobs through SLURM and wait for them; the calling form is in job_form.sh. Exit status 1 if any job failed.
# Partition, account, time limit and the like: sbatch reads them from SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT.
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
    echo "export PATH=$(printf %q "${PATH}")"
    echo "case \${SLURM_ARRAY_TASK_ID} in"
    for ((job = first; job <= last; job++)); do
        printf '%s)\n    exec >%q 2>&1\n    echo %q\n' "${job}" "$(for_job "${job}" "${log}")" "# $(shell_command "${job}")"
        printf '    %s\n    ;;\n' "$(shell_command "${job}")"
    done
    echo "esac"
    cat <<'END'
code=$?
echo "# Ended (code ${code}) at $(date), elapsed ${SECONDS} s"
exit "${code}"
END
} >"${script}"

options=(--job-name="$(basename "${log}")" --cpus-per-task="${num_threads}" --output=/dev/null)
[ -z "${mem}" ] || options+=(--mem="${mem}")
[ "${gpu}" -eq 0 ] || options+=(--gres="gpu:${gpu}")
limit=""
[ "${max_jobs_run}" -eq 0 ] || limit="%${max_jobs_run}"

submitted=""
end_all() {
    [ -z "${submitted}" ] || scancel "${submitted}"
    exit 130
}
trap end_all INT TERM HUP

for ((job = first; job <= last; job++)); do
    rm -f "$(for_job "${job}" "${log}")"
done
submitted=$(sbatch --parsable --array="${first}-${last}${limit}" "${options[@]}" "${script}")
submitted=${submitted%%;*}
echo "slurm.pl: ${log} is SLURM job ${submitted}" >&2
while squeue --noheader --jobs="${submitted}" 2>/dev/null | grep -q .; do
    # In the background, because a trap waits for what runs in front.
    sleep "${SLURM_POLL_SECONDS:-5}" &
    wait $!
done

failed=0
for ((job = first; job <= last; job++)); do
    file=$(for_job "${job}" "${log}")
    # A shared file system may show the log a little later than the queue shows the end.
    for _ in 1 2 3 4 5; do
        grep -qs '^# Ended' "${file}" && break
        sleep 1
    done
    if ! grep -qs '^# Ended (code 0)' "${file}"; then
        failed=$((failed + 1))
        touch "${file}"
        say_failed slurm.pl "${job}" "${file}"
    fi
done
if [ "${failed}" -gt 0 ]; then
    echo "slurm.pl: ${failed} of $((last - first + 1)) jobs failed" >&2
    exit 1
fi
