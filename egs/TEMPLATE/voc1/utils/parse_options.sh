# shellcheck shell=bash disable=SC2034
# Options of the script that sources this file, Kaldi style: --name value (or --name=value; - and _ are the same).
#
# The options are the variables that the script sets at the start of a line, `name=default  # help`, above the line
# that sources this file; nothing else declares them. --help lists them. A default of true or false takes only
# these, a default that is a whole number takes only such, unless it stands in quotes.
#
# If FORWARD_TO names other such scripts, separated by spaces, their options are taken too, and collected in the array
# `forwarded`; an option of several scripts is described as by the first.

_read_options() { # FILE: append to _names, and to _defaults, _numbers and _helps by name
    local line
    while IFS= read -r line; do
        [[ ${line} =~ ^\.[[:space:]].*parse_options\.sh ]] && return
        if [[ ${line} =~ ^([a-z][a-z0-9_]*)=([^\(#][^#]*)?(#[[:space:]]*(.*))?$ ]]; then
            local name=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]} help=${BASH_REMATCH[4]}
            [[ ! -v _helps[${name}] ]] || continue
            value=${value%"${value##*[![:space:]]}"}
            [[ ! ${value} =~ ^[0-9]+$ ]] || _numbers[${name}]=true
            value=${value#[\"\']}
            _names+=("${name}")
            _defaults[${name}]=${value%[\"\']}
            _helps[${name}]=${help}
        fi
    done <"$1"
}

_print_options() {
    local name
    for name in "${_names[@]}"; do
        printf '  --%-16s %s (default: %s)\n' "${name}" "${_helps[${name}]}" "${_defaults[${name}]:-none}"
    done
}

_check_value() { # NAME VALUE
    local default=${_defaults[$1]}
    case ${default} in
        true | false) [[ $2 == true || $2 == false ]] || _option_error "--$1 takes true or false, not '$2'" ;;
        *) [[ -z ${_numbers[$1]:-} || $2 =~ ^[0-9]+$ ]] || _option_error "--$1 takes a whole number, not '$2'" ;;
    esac
}

_option_error() {
    echo "${0##*/}: $1" >&2
    exit 2
}

_names=()
declare -A _defaults=() _numbers=() _helps=()
_read_options "${BASH_SOURCE[1]}"
_own=" ${_names[*]} "
for _script in ${FORWARD_TO:-}; do
    _read_options "${_script}"
done
while [ $# -gt 0 ]; do
    if [[ $1 == --help || $1 == -h ]]; then
        # The script's own description: the comment at its top.
        sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[1]}"
        echo "Options:"
        _print_options
        exit 0
    fi
    [[ $1 == --?* ]] || _option_error "unexpected argument '$1'; options begin with --"
    _name=${1#--}
    _name=${_name%%=*}
    _name=${_name//-/_}
    if [[ " ${_names[*]} " != *" ${_name} "* ]]; then
        _option_error "unknown option --${_name}; known: $(printf -- '--%s\n' "${_names[@]}" | sort -u | paste -sd ' ')"
    fi
    if [[ $1 == *=* ]]; then
        _value=${1#*=}
        shift
    else
        [ $# -ge 2 ] || _option_error "option --${_name} needs a value"
        _value=$2
        shift 2
    fi
    _check_value "${_name}" "${_value}"
    if [[ ${_own} == *" ${_name} "* ]]; then
        printf -v "${_name}" %s "${_value}"
    else
        forwarded+=("--${_name}" "${_value}")
    fi
done
