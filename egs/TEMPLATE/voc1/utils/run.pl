#!/usr/bin/env bash
# Run jobs on this machine; the calling form is in job_form.sh. Exit status 1 if any job failed.
set -euo pipefail
# Every job is a process group of its own, so that an interrupt ends the whole of it.
set -m
# shellcheck source=job_form.sh
. "$(dirname "${BASH_SOURCE[0]}")"/job_form.sh
parse_job_form run.pl "$@"

run_one() {
    local line file start code=0
    line=$(shell_command "$1")
    file=$(for_job "$1" "${log}")
    mkdir -p "$(dirname "${file}")"
    start=$(date +%s)
    printf '# %s\n# Started at %s\n' "${line}" "$(date)" >"${file}"
    bash -c "set -o pipefail; ${line}" </dev/null >>"${file}" 2>&1 || code=$?
    echo "# Ended (code ${code}) at $(date), elapsed $(($(date +%s) - start)) s" >>"${file}"
    return "${code}"
}

declare -A job_of=()
end_all() {
    local pid
    for pid in "${!job_of[@]}"; do
        kill -TERM -- "-${pid}" 2>/dev/null || true
    done
    exit 130
}
trap end_all INT TERM HUP

failed=0
wait_for_one() {
    local pid="" code=0
    wait -n -p pid "${!job_of[@]}" || code=$?
    if [ "${code}" -ne 0 ]; then
        failed=$((failed + 1))
        say_failed run.pl "${job_of[${pid}]}" "$(for_job "${job_of[${pid}]}" "${log}")"
    fi
    unset "job_of[${pid}]"
}

for ((job = first; job <= last; job++)); do
    if [ "${max_jobs_run}" -gt 0 ] && [ "${#job_of[@]}" -ge "${max_jobs_run}" ]; then
        wait_for_one
    fi
    run_one "${job}" &
    job_of[$!]=${job}
done
while [ "${#job_of[@]}" -gt 0 ]; do
    wait_for_one
done
if [ "${failed}" -gt 0 ]; then
    echo "run.pl: ${failed} of $((last - first + 1)) jobs failed" >&2
    exit 1
fi
