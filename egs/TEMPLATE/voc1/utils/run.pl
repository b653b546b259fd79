#!/usr/bin/env bash
# Run jobs on this machine; the calling form is in job_form.sh. Exit status 1 if any job failed.
set -euo pipefail
# Every job is a process group of its own, so that an interrupt ends the whole of it.
set -m
# shellcheck source=job_form.sh
. "$(dirname "${BASH_SOURCE[0]}")"/job_form.sh
parse_job_form run.pl "$@"
[ "${num_nodes}" -le 1 ] || usage_error "run.pl: --num-nodes ${num_nodes}: jobs run on this machine alone; slurm.pl has nodes"

# Print the seconds of a time in sbatch's forms: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S.
seconds_of() {
    local days=0 fields
    local clock=$1
    [[ ${clock} != *-* ]] || { days=${clock%-*} clock=${clock#*-}:0:0; }
    IFS=: read -ra fields <<<"${clock}"
    if [[ $1 == *-* ]] || [ ${#fields[@]} -eq 3 ]; then
        echo $((10#${days} * 86400 + 10#${fields[0]} * 3600 + 10#${fields[1]} * 60 + 10#${fields[2]}))
    else
        echo $((10#${fields[0]} * 60 + 10#${fields[1]:-0}))
    fi
}

limit=()
[ -z "${time_limit}" ] || limit=(timeout --kill-after 10 "$(seconds_of "${time_limit}")")

run_one() {
    local line file start code=0 child
    line=$(shell_command "$1")
    file=$(for_job "$1" "${log}")
    mkdir -p "$(dirname "${file}")"
    start=$(date +%s)
    printf '# %s\n# Started at %s\n' "${line}" "$(date)" >"${file}"
    "${limit[@]}" bash -c "set -o pipefail; ${line}" </dev/null >>"${file}" 2>&1 &
    child=$!
    # timeout has made a process group of its own, to which it passes this on.
    trap 'kill -TERM "${child}"' TERM
    wait "${child}" || code=$?
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

wait_for_one() {
    local pid="" code=0 job
    wait -n -p pid "${!job_of[@]}" || code=$?
    job=${job_of[${pid}]}
    if [ "${code}" -ne 0 ]; then
        failed+=("${job}")
        why[${job}]="status ${code}"
        [ -z "${time_limit}" ] || [ "${code}" -ne 124 ] || why[${job}]="time limit ${time_limit}"
    fi
    unset "job_of[${pid}]"
}

run_jobs() {
    local job
    for job in "$@"; do
        if [ "${max_jobs_run}" -gt 0 ] && [ "${#job_of[@]}" -ge "${max_jobs_run}" ]; then
            wait_for_one
        fi
        run_one "${job}" &
        job_of[$!]=${job}
    done
    while [ "${#job_of[@]}" -gt 0 ]; do
        wait_for_one
    done
}

run_with_retries
