# shellcheck shell=bash disable=SC2154
# What the stages of a recipe have in common; stage, stop_stage and nj are options of the script that sources this file.

say() { echo "$(date +%H:%M:%S) ${0##*/}: $*" >&2; }

die() {
    echo "${0##*/}: error: $*" >&2
    exit 1
}

# usage MESSAGE: end because the options cannot be worked with.
usage() {
    echo "${0##*/}: error: $*" >&2
    exit 2
}

in_range() { [ "${stage}" -le "$1" ] && [ "${stop_stage}" -ge "$1" ]; }

# need FILE STAGE: end with a hint if a file that an earlier stage makes is missing.
need() {
    [ -s "$1" ] || die "there is no $1; stage $2 makes it: ./run.sh --stage $2 --stop_stage $2 (and your other options)"
}

# newer OUT IN ...: whether OUT was made after every IN.
newer() {
    local out=$1 in
    [ -e "${out}" ] || return 1
    shift
    for in in "$@"; do
        [ "${out}" -nt "${in}" ] || return 1
    done
}

# is_made OUT_DIR HOW IN ...: whether note_made has noted that OUT_DIR was made in this way, after every IN. Times alone do
# not tell: another checkpoint of an experiment may be older than the output.
is_made() {
    local note=$1/.made_by how=$2
    shift 2
    newer "${note}" "$@" && [ "$(cat "${note}")" = "${how}" ]
}

# note_made OUT_DIR HOW: note that all of OUT_DIR has been made, and how.
note_made() { echo "$2" >"$1/.made_by"; }

# count_parts TABLE: set `parts`, in how many the work on the lines of a table is divided, and `join_nj`, how many processes
# the one job takes that joins them and does what they have left.
count_parts() {
    parts=$(wc -l <"$1")
    parts=$((parts < nj ? parts : nj))
    join_nj=$((nj < 16 ? nj : 16))
}

# in_parts RUNNER NAME HOW COMMAND ...: run COMMAND --part K/N for every K, N being `parts`, as jobs of RUNNER, the name of an
# array such as data_cmd; logs are NAME.K.log. NAME.K.done says that a part is done: it is not run again unless the command
# or HOW, the state of its input, has changed. Of one part nothing is run: the call that joins parts does it all.
in_parts() {
    local -n runner=$1
    local name=$2 how="$3; ${parts} parts of ${*:4}" part todo=() list
    shift 3
    [ "${parts}" -gt 1 ] || return 0
    mkdir -p "$(dirname "${name}")"
    if [ "$(cat "${name}.how" 2>/dev/null)" != "${how}" ]; then
        rm -f "${name}".*.done
        echo "${how}" >"${name}.how"
    fi
    for ((part = 1; part <= parts; part++)); do
        [ -e "${name}.${part}.done" ] || todo+=("${part}")
    done
    [ ${#todo[@]} -gt 0 ] || return 0
    list=1:${parts}
    if [ ${#todo[@]} -lt "${parts}" ]; then
        say "${name}: ${#todo[@]} of ${parts} parts are left"
        # Kaldi's own tools take no list. A part that is done finds nothing to do.
        [ -n "${KALDI_ROOT:-}" ] || list=$(IFS=, && echo "${todo[*]}")
    fi
    "${runner[@]}" "JOB=${list}" "${name}.JOB.log" "$@" --part "JOB/${parts}" "&&" touch "${name}.JOB.done" ||
        die "not all parts are done, see above for logs; the same command again runs the rest alone"
}

# contents_of FILE ...: print what changes when the files do; what is no file is passed over.
contents_of() { cat "$@" 2>/dev/null | cksum; }

# state_of PATH: print what changes when a file, or one of a directory, is written again, without reading it.
state_of() { find -L "$1" -maxdepth 1 -type f ! -name '*.md' -printf '%p %s %T+\n' | sort; }

# curate DATA_DIR OUT_DIR RULES [OPTION ...]: curate a data directory to OUT_DIR/kept and show what was left out; the options
# are for the call that joins parts alone.
curate() {
    local data=$1 out=$2 code=0 parts join_nj command=(evagan curate "$1" "$2" --rules "$3")
    count_parts "${data}/wav.scp"
    in_parts data_cmd "${out}/log/curate" "$(contents_of "$3" "${data}"/*)" "${command[@]}"
    "${data_cmd[@]}" --num-threads "${join_nj}" "${out}/log/curate.log" "${command[@]}" --nj "${join_nj}" "${@:4}" || code=$?
    grep -v '^#' "${out}/log/curate.log" >&2 || true
    [ "${code}" -eq 0 ] || die "${data} was not curated"
}

# format DATA_DIR OUT_DIR [OPTION ...]: format a data directory and show what was done to it.
format() {
    convert format "$@" ||
        die "$1 was not formatted; if that is for broken audio, --skip_broken true goes on without it"
}

# shard DATA_DIR OUT_DIR [OPTION ...]: write a data directory as tar shards and show what was done to it.
shard() { convert shard "$@" || die "$1 was not written as shards"; }

# convert TOOL DATA_DIR OUT_DIR [OPTION ...]: return the status of `evagan TOOL`, having run it in parts.
convert() {
    local data=$2 log=$3/log/$1 code=0 parts join_nj command=(evagan "$@")
    count_parts "${data}/wav.scp"
    in_parts data_cmd "${log}" "$(contents_of "${data}"/*)" "${command[@]}"
    "${data_cmd[@]}" --num-threads "${join_nj}" "${log}.log" "${command[@]}" --nj "${join_nj}" || code=$?
    grep -v '^#' "${log}.log" >&2 || true
    return "${code}"
}

# deal TABLE OUT_DIR: empty OUT_DIR and deal the lines of TABLE out to OUT_DIR/log/part.N.scp, N from 1 to `jobs`.
deal() {
    jobs=$(wc -l <"$1")
    jobs=$((jobs < nj ? jobs : nj))
    rm -rf "$2"
    mkdir -p "$2/log"
    awk -v jobs="${jobs}" -v part="$2/log/part" '{ print > (part "." (NR - 1) % jobs + 1 ".scp") }' "$1"
}
