# shellcheck shell=bash disable=SC2034
# Kaldi's calling form of a job, shared by run.pl and slurm.pl:
#
#   run.pl [--gpu N] [--mem 4G] [--num-threads N] [--max-jobs-run N] [JOB=1:4] LOG COMMAND [ARGUMENT ...]
#
# Sets: gpu, mem, num_threads, max_jobs_run; name (JOB, empty for a single job), first, last; log, command (array).
# The word JOB stands for the job's number in LOG and in every word of the command.

parse_job_form() {
    local program=$1 usage="[--gpu N] [--mem 4G] [--num-threads N] [--max-jobs-run N] [JOB=1:4] LOG COMMAND ..."
    shift
    gpu=0 mem="" num_threads=1 max_jobs_run=0 name="" first=1 last=1
    while [[ ${1:-} == --* ]]; do
        [ $# -ge 2 ] || usage_error "${program}: option $1 needs a value"
        case $1 in
            --mem) mem=$2 ;;
            --gpu | --num-threads | --max-jobs-run)
                [[ $2 =~ ^[0-9]+$ ]] || usage_error "${program}: option $1 needs a number, not '$2'"
                local option=${1#--}
                printf -v "${option//-/_}" %s "$2"
                ;;
            *) usage_error "${program}: unknown option $1; known: --gpu --mem --num-threads --max-jobs-run" ;;
        esac
        shift 2
    done
    if [[ ${1:-} =~ ^([A-Za-z_][A-Za-z0-9_]*)=([0-9]+):([0-9]+)$ ]]; then
        name=${BASH_REMATCH[1]} first=${BASH_REMATCH[2]} last=${BASH_REMATCH[3]}
        [ "${first}" -le "${last}" ] || usage_error "${program}: no jobs in $1"
        shift
    fi
    [ $# -ge 2 ] || usage_error "usage: ${program} ${usage}"
    log=$1
    shift
    command=("$@")
    if [ -n "${name}" ] && [ "${first}" -lt "${last}" ] && [[ ${log} != *"${name}"* ]]; then
        usage_error "${program}: several jobs need ${name} in the name of the log, not '${log}'"
    fi
}

usage_error() {
    echo "$1" >&2
    exit 2
}

# Print the command of job $1 for a shell. Words that are shell operators work as such, as in Kaldi
# (run.pl LOG sort a.txt \| uniq \> b.txt); every other word reaches the program exactly as it was given.
shell_command() {
    local word
    for word in "${command[@]}"; do
        case ${word} in
            '|' | '||' | '&&' | ';' | '<' | '>' | '>>' | '2>' | '2>&1') printf '%s ' "${word}" ;;
            *) printf '%q ' "$(for_job "$1" "${word}")" ;;
        esac
    done
}

# Print $2 with the number $1 in the place of the job's name.
for_job() {
    if [ -n "${name}" ]; then
        printf %s "${2//${name}/$1}"
    else
        printf %s "$2"
    fi
}

# Print the log's last line that says something, and its name: what a user needs to see of a failed job.
say_failed() {
    local said
    said=$(grep -v -e '^#' -e '^[[:space:]]*$' "$3" | tail -n 1) || true
    echo "$1: job $2 failed, log is in $3: ${said:-(nothing in it)}" >&2
}
