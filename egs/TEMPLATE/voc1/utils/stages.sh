# shellcheck shell=bash disable=SC2154
# What the stages of a recipe have in common; stage and stop_stage are options of the script that sources this file.

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
