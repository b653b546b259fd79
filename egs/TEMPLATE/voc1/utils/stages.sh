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

# deal TABLE OUT_DIR: empty OUT_DIR and deal the lines of TABLE out to OUT_DIR/log/part.N.scp, N from 1 to `jobs`.
deal() {
    jobs=$(wc -l <"$1")
    jobs=$((jobs < nj ? jobs : nj))
    rm -rf "$2"
    mkdir -p "$2/log"
    awk -v jobs="${jobs}" -v part="$2/log/part" '{ print > (part "." (NR - 1) % jobs + 1 ".scp") }' "$1"
}
