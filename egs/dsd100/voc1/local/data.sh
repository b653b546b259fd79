#!/usr/bin/env bash
# Make data/test of DSD100: random stretches of its stems and mixtures, with their categories.
#
set -euo pipefail

corpus_dir=""    # DSD100, with Mixtures/ and Sources/.
datadir=data     # Where the tables go.
parts="Test"     # Parts to draw from: Test, Dev, or both, separated by a space.
items=10         # Items of each category.
data_seed=0      # Seed of the draw.
. utils/parse_options.sh
. ./path.sh
. utils/stages.sh

[ -n "${corpus_dir}" ] ||
    usage "--corpus_dir is needed: DSD100, with Mixtures/ and Sources/ in it;" \
        "DSD100.zip is linked from https://sigsep.github.io/datasets/dsd100.html"
python local/prepare.py "${corpus_dir}" "${datadir}" "${parts}" "${items}" "${data_seed}"
