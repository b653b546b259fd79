# shellcheck shell=bash
# Puts this repository's Python environment, if it has one, and utils/ on the path; Kaldi's utils come first where
# KALDI_ROOT is set (run.pl and slurm.pl of Kaldi take the same calling form).

_repository=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../.." && pwd)
if [ -x "${_repository}/.venv/bin/python" ]; then
    export PATH=${_repository}/.venv/bin:${PATH}
fi
export PATH=${PWD}/utils:${PATH}
if [ -n "${KALDI_ROOT:-}" ]; then
    _kaldi_utils=${KALDI_ROOT}/egs/wsj/s5/utils
    if [ ! -d "${_kaldi_utils}" ]; then
        echo "path.sh: KALDI_ROOT is ${KALDI_ROOT}, but there is no ${_kaldi_utils}; mend it or unset it" >&2
        exit 2
    fi
    export PATH=${_kaldi_utils}:${PATH}
fi
# Byte order in every sort, UTF-8 in every text.
export LC_ALL=C.UTF-8
# Jobs run beside each other, so each takes one core unless told otherwise.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
if ! command -v evagan >/dev/null; then
    echo "path.sh: no command 'evagan': run 'make setup' in ${_repository}, or activate the environment it is in" >&2
    exit 1
fi
