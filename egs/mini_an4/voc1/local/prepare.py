"""Unpack AN4 and write its data directories: ``prepare.py DATA_DIR UNPACK_DIR [ARCHIVE]``.

Without an archive the 8 utterances that the ``espnet`` package brings are used. The test set is AN4's own, whose
speakers are not in the training set; the speakers that come last in the alphabet of AN4's training speakers make
the development set, so that it shares no speaker with the others either.
"""

import re
import shutil
import sys
import tarfile
import zlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from evagan_plugin.data.kaldi import DataDir
from evagan_plugin.errors import EvaganError, one_line_errors
from evagan_plugin.utils.files import read_text

SHIPPED = "egs3/mini_an4/esp2_asr/downloads.tar.gz"
DEV_SPEAKERS_PER_TRAIN_SPEAKER = 1 / 10
TRANSCRIPT = re.compile(r"^(?:<s>)?\s*(?P<words>.*?)\s*(?:</s>)?\s*\((?P<utterance>\S+)\)$")


def shipped_archive() -> Path:
    """Return the archive of 8 utterances in the installed ``espnet`` package."""
    try:
        archive = Path(str(distribution("espnet").locate_file(SHIPPED)))
    except PackageNotFoundError:
        raise EvaganError("the package 'espnet' is not installed: pip install 'evagan-plugin[espnet]'") from None
    if not archive.is_file():
        raise EvaganError(f"this version of espnet has no {SHIPPED}: use --full_corpus true")
    return archive


def unpack(archive: Path, target: Path) -> Path:
    """Unpack an archive, once, and return the directory ``an4`` in it."""
    if not target.is_dir():
        partial = target.with_name(f".{target.name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            with tarfile.open(archive) as content:
                content.extractall(partial, filter="data")
            partial.rename(target)
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise EvaganError(
                f"{archive} cannot be unpacked into {target}: {error}; remove it and run again"
            ) from error
    found = sorted(path.parent for path in target.rglob("an4/etc"))
    if not found:
        raise EvaganError(f"{archive}: no directory an4/etc in it; is it AN4?")
    return found[0]


def read_part(corpus: Path, part: str, folder: str) -> DataDir:
    """Return the utterances of a folder of ``wav/``, with AN4's transcripts of a part (``train`` or ``test``).

    Utterances are found by their files, not by AN4's lists: those of the shipped archive leave one out. Ids are
    ``SPEAKER-UTTERANCE``.
    """
    data = DataDir(wav={})
    transcripts = {}
    for line in read_text(corpus / "etc" / f"an4_{part}.transcription").splitlines():
        if match := TRANSCRIPT.match(line):
            transcripts[match["utterance"]] = match["words"]
    for path in sorted((corpus / "wav" / folder).glob("*/*.sph")):
        speaker = path.parent.name
        utterance = f"{speaker}-{path.stem}"
        data.wav[utterance] = str(path)
        data.utt2spk[utterance] = speaker
        if path.stem in transcripts:
            data.text[utterance] = transcripts[path.stem]
    if not data.wav:
        raise EvaganError(f"{corpus / 'wav' / folder}: no SPEAKER/*.sph in it")
    return data


def split_dev(data: DataDir) -> tuple[DataDir, DataDir]:
    """Return training and development set, without a common speaker."""
    speakers = sorted(set(data.utt2spk.values()))
    count = max(1, round(len(speakers) * DEV_SPEAKERS_PER_TRAIN_SPEAKER))
    dev = {utterance for utterance, speaker in data.utt2spk.items() if speaker in speakers[-count:]}
    return data.subset(set(data.wav) - dev), data.subset(dev)


def main(data_dir: Path, unpack_dir: Path, archive: Path | None) -> None:
    """Unpack the archive, or the shipped one, and write ``train``, ``dev`` and ``test``."""
    corpus = unpack(archive or shipped_archive(), unpack_dir)
    train, dev = split_dev(read_part(corpus, "train", "an4_clstk"))
    test = read_part(corpus, "test", "an4test_clstk")
    for name, data in {"train": train, "dev": dev, "test": test}.items():
        data.write(data_dir / name)


if __name__ == "__main__":
    with one_line_errors("prepare.py"):
        arguments = [Path(argument) for argument in sys.argv[1:]]
        main(arguments[0], arguments[1], arguments[2] if len(arguments) > 2 else None)
