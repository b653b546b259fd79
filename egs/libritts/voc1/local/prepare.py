"""Write the data directories of LibriTTS: ``prepare.py CORPUS DATA_DIR TRAIN_PARTS VALID_SPEAKERS NUM_EVAL SEED``.

``dev_clean`` and ``dev_other`` are what is judged, so nothing may be chosen by them: the validation set are speakers of
the training parts who are left out of the training set.
"""

import sys
from pathlib import Path

from evagan_plugin.data.corpus import draw, find_files, hold_out_speakers
from evagan_plugin.data.kaldi import DataDir
from evagan_plugin.errors import UsageError, one_line_errors
from evagan_plugin.utils.files import read_text
from evagan_plugin.utils.progress import track

EVALUATION_PARTS = {"dev_clean": "dev-clean", "dev_other": "dev-other"}
TRANSCRIPT = ".normalized.txt"


def read_part(files: list[Path], part: str) -> DataDir:
    """Return the utterances of files ``SPEAKER/CHAPTER/UTTERANCE.wav``, with the transcripts beside them."""
    data = DataDir(wav={})
    for path in track(files, part):
        data.wav[path.stem] = str(path)
        data.utt2spk[path.stem] = path.parent.parent.name
        transcript = path.with_suffix(TRANSCRIPT)
        if transcript.is_file() and (text := " ".join(read_text(transcript).split())):
            data.text[path.stem] = text
    return data


def main(corpus: Path, data_dir: Path, parts: list[str], valid_speakers: int, num_eval: int, seed: int) -> None:
    """Write ``train``, ``valid``, ``dev_clean`` and ``dev_other``.

    Raises:
        UsageError: If a part is missing, or one cannot be trained on.
    """
    if unfit := set(parts) & set(EVALUATION_PARTS.values()):
        raise UsageError(f"--train_parts: {', '.join(sorted(unfit))} is what the recipe judges by, not to train on")
    if not parts:
        raise UsageError("--train_parts is empty")
    files = {
        part: find_files(corpus / part, "*/*/*.wav", f"unpack {part}.tar.gz from https://www.openslr.org/60/")
        for part in [*EVALUATION_PARTS.values(), *parts]
    }
    data = read_part([path for part in parts for path in files[part]], "training parts")
    train, valid = hold_out_speakers(data, valid_speakers, seed)
    for name, part in EVALUATION_PARTS.items():
        judged = read_part(files[part], part)
        kept = judged.subset(draw(judged.wav, num_eval, seed)) if num_eval else judged
        kept.write(data_dir / name)
    train.write(data_dir / "train")
    valid.write(data_dir / "valid")


if __name__ == "__main__":
    with one_line_errors("prepare.py"):
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(), *map(int, sys.argv[4:7]))
