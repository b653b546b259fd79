"""Write the data directories of VCTK 0.92: ``prepare.py CORPUS DATA_DIR MIC DEV_SPEAKERS TEST_SPEAKERS SEED``.

No speaker is in two sets; which ones are held out the seed decides.
"""

import sys
from pathlib import Path

from evagan_plugin.data.corpus import find_files, hold_out_speakers
from evagan_plugin.data.kaldi import DataDir
from evagan_plugin.errors import one_line_errors
from evagan_plugin.utils.files import read_text
from evagan_plugin.utils.progress import track

ORIGIN = (
    "VCTK 0.92 has wav48_silence_trimmed/pNNN/*_mic1.flac and *_mic2.flac; "
    "VCTK-Corpus-0.92.zip is at https://datashare.ed.ac.uk/handle/10283/3443"
)


def read_corpus(corpus: Path, mic: str) -> DataDir:
    """Return all utterances of one microphone; one speaker (p315) has no transcripts.

    Raises:
        UsageError: If the directory is not VCTK 0.92, or has no such microphone.
    """
    data = DataDir(wav={})
    for path in track(find_files(corpus / "wav48_silence_trimmed", f"*/*_{mic}.flac", ORIGIN), "read"):
        speaker = path.parent.name
        utterance = path.stem.removesuffix(f"_{mic}")
        data.wav[utterance] = str(path)
        data.utt2spk[utterance] = speaker
        transcript = corpus / "txt" / speaker / f"{utterance}.txt"
        if transcript.is_file() and (text := " ".join(read_text(transcript).split())):
            data.text[utterance] = text
    return data


def main(corpus: Path, data_dir: Path, mic: str, dev_speakers: int, test_speakers: int, seed: int) -> None:
    """Write ``train``, ``dev`` and ``test``."""
    rest, test = hold_out_speakers(read_corpus(corpus, mic), test_speakers, seed)
    train, dev = hold_out_speakers(rest, dev_speakers, seed)
    for name, data in {"train": train, "dev": dev, "test": test}.items():
        data.write(data_dir / name)


if __name__ == "__main__":
    with one_line_errors("prepare.py"):
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:7]))
