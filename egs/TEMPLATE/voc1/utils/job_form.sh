# shellcheck shell=bash disable=SC2034
# Kaldi's calling form of a job, shared by run.pl and slurm.pl:
#
#   run.pl [--gpu N] [--mem 4G] [--num-threads N] [--num-nodes N] [--max-jobs-run N] [--time LIMIT] [--retries N] \
#       [JOB=1:4] LOG COMMAND ...
#
# --time is a limit of each job in sbatch's forms (90 is minutes; 4:00:00; 2-12), --retries how often a failed job is tried
# again. Jobs may be a list, too: JOB=2,5:7. A job of several nodes runs on the first of them, and starts what is to run on
# the others (srun); --gpu, --mem and --num-threads are of each node.
#
# Sets: gpu, mem, num_threads, num_nodes, max_jobs_run, time_limit; name (JOB, empty for a single job), jobs (array of numbers); log,
# command (array). The word JOB stands for the job's number in LOG and in every word of the command.

JOB_OPTIONS=(--gpu --mem --num-threads --num-nodes --max-jobs-run --time --retries)

parse_job_form() {
    local usage="usage: $1 [OPTION VALUE ...] [JOB=1:4] LOG COMMAND ...; options: ${JOB_OPTIONS[*]}" range
    program=$1
    shift
    gpu=0 mem="" num_threads=1 num_nodes=1 max_jobs_run=0 time_limit="" retries=0 name="" jobs=(1)
    while [[ ${1:-} == --* ]]; do
        [ $# -ge 2 ] || usage_error "${program}: option $1 needs a value"
        case $1 in
            --mem) mem=$2 ;;
            --time)
                [[ $2 =~ ^([0-9]+-)?[0-9]+(:[0-9]+){0,2}$ ]] ||
                    usage_error "${program}: option --time needs minutes, H:M:S or D-H:M:S, not '$2'"
                time_limit=$2
                ;;
            --gpu | --num-threads | --num-nodes | --max-jobs-run | --retries)
                [[ $2 =~ ^[0-9]+$ ]] || usage_error "${program}: option $1 needs a number, not '$2'"
                local option=${1#--}
                printf -v "${option//-/_}" %s "$2"
                ;;
            *) usage_error "${program}: unknown option $1; known: ${JOB_OPTIONS[*]}" ;;
        esac
        shift 2
    done
    if [[ ${1:-} =~ ^([A-Za-z_][A-Za-z0-9_]*)=([0-9]+(:[0-9]+)?(,[0-9]+(:[0-9]+)?)*)$ ]]; then
        name=${BASH_REMATCH[1]} jobs=()
        for range in ${BASH_REMATCH[2]//,/ }; do
            mapfile -t -O "${#jobs[@]}" jobs < <(seq "${range%:*}" "${range#*:}")
        done
        [ ${#jobs[@]} -gt 0 ] || usage_error "${program}: no jobs in $1"
        shift
    fi
    [ $# -ge 2 ] || usage_error "${usage}"
    log=$1
    shift
    command=("$@")
    if [ -n "${name}" ] && [ ${#jobs[@]} -gt 1 ] && [[ ${log} != *"${name}"* ]]; then
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

# Run all jobs by run_jobs, which takes their numbers and sets `failed`, the array of those that failed, and `why`, what
# is known of each by its number; try again as often as is allowed; end with a list of what failed for good.
run_with_retries() {
    local todo=("${jobs[@]}") attempt job
    declare -gA why=()
    for ((attempt = 0; ; attempt++)); do
        failed=()
        run_jobs "${todo[@]}"
        [ ${#failed[@]} -gt 0 ] || return 0
        mapfile -t failed < <(printf '%s\n' "${failed[@]}" | sort -n)
        [ "${attempt}" -lt "${retries}" ] || break
        echo "${program}: ${#failed[@]} of ${#jobs[@]} jobs failed (${failed[*]}): retry $((attempt + 1)) of ${retries}" >&2
        todo=("${failed[@]}")
    done
    for job in "${failed[@]}"; do
        say_failed "${job}" "$(for_job "${job}" "${log}")"
    done
    echo "${program}: ${#failed[@]} of ${#jobs[@]} jobs failed" >&2
    exit 1
}

# Print the log's last line that says something, and its name: what a user needs to see of a failed job.
say_failed() {
    local said
    said=$(grep -v -e '^#' -e '^[[:space:]]*$' "$2" 2>/dev/null | tail -n 1) || true
    echo "${program}: job $1 failed${why[$1]:+ (${why[$1]})}, log is in $2: ${said:-(nothing in it)}" >&2
}
