"""Write the data directories of LJSpeech: ``prepare.py CORPUS_DIR DATA_DIR NUM_DEV NUM_TEST``.

The last utterances of the corpus are the test set and those before them the development set, so that both come from
books' ends that the training set has not; a part of the corpus gives a tenth of its utterances to each at most.
"""

import sys
from pathlib import Path

from evagan_plugin.data.kaldi import DataDir
from evagan_plugin.errors import UsageError, one_line_errors
from evagan_plugin.utils.files import read_text

SPEAKER = "LJ"
MOST_HELD_OUT = 1 / 10


def read_corpus(corpus: Path) -> DataDir:
    """Return all utterances of ``metadata.csv`` (``id|text|normalised text``).

    Raises:
        UsageError: If the directory is not LJSpeech or a recording is missing.
    """
    metadata = corpus / "metadata.csv"
    if not metadata.is_file():
        raise UsageError(f"{corpus}: no metadata.csv in it; LJSpeech-1.1 has metadata.csv and wavs/")
    data = DataDir(wav={})
    for number, line in enumerate(read_text(metadata).split("\n"), 1):
        if not line.strip():
            continue
        utterance, *texts = line.split("|")
        path = corpus / "wavs" / f"{utterance}.wav"
        if not texts or not path.is_file():
            what = f"{path} is missing" if texts else "not 'id|text|normalised text'"
            raise UsageError(f"{metadata}:{number}: {what}; is the download complete?")
        data.wav[utterance] = str(path)
        data.utt2spk[utterance] = SPEAKER
        if transcript := texts[-1].strip():
            data.text[utterance] = transcript
    return data


def main(corpus: Path, data_dir: Path, num_dev: int, num_test: int) -> None:
    """Split the corpus and write ``train``, ``dev`` and ``test``."""
    data = read_corpus(corpus)
    utterances = data.utterances
    most = int(len(utterances) * MOST_HELD_OUT)
    num_dev, num_test = min(num_dev, most), min(num_test, most)
    if not num_dev or not num_test:
        raise UsageError(f"{corpus}: {len(utterances)} utterances cannot be split in training, development and test")
    first_dev, first_test = len(utterances) - num_dev - num_test, len(utterances) - num_test
    data.subset(utterances[:first_dev]).write(data_dir / "train")
    data.subset(utterances[first_dev:first_test]).write(data_dir / "dev")
    data.subset(utterances[first_test:]).write(data_dir / "test")


if __name__ == "__main__":
    with one_line_errors("prepare.py"):
        main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
