"""Write data directories of HiFiTTS-2 and folders: ``prepare.py CORPUS MUSIC_DIR EFFECTS_DIR DATA_DIR HELD_OUT SEED``.

Utterances of the manifest that have no audio are left out: a part of the corpus is a corpus. Its own sets are kept; of
its development and its test set ``HELD_OUT`` utterances are drawn. The folders may be empty names.
"""

import sys
from pathlib import Path

from manifest import AUDIO, MANIFESTS, ORIGIN, find_table, read_lines, set_of

from evagan_plugin.data.corpus import draw, safe_name
from evagan_plugin.data.kaldi import DataDir
from evagan_plugin.data.sources import SETS, Sets, folder_source, write_sources
from evagan_plugin.errors import UsageError, one_line_errors


def read_speech(corpus: Path, held_out: int, seed: int) -> Sets:
    """Return the sets of HiFiTTS-2.

    Raises:
        UsageError: If a table is missing or malformed, two utterances have one name, or a set has no audio.
    """
    manifest = find_table(corpus, MANIFESTS)
    sets: Sets = {kind: DataDir(wav={}) for kind in SETS}
    lines = with_audio = 0
    for line in read_lines(manifest, "audio_filepath", "speaker", "set"):
        lines += 1
        path = corpus / AUDIO / line["audio_filepath"]
        if not path.is_file():
            continue
        with_audio += 1
        utterance = f"speech_{safe_name(path.stem)}"
        data = sets[set_of(line, manifest)]
        if utterance in data.wav:
            raise UsageError(f"{manifest}: {data.wav[utterance]} and {path} have one name")
        data.wav[utterance] = str(path)
        data.utt2spk[utterance] = f"speech_{safe_name(str(line['speaker']))}"
        data.category[utterance] = "speech"
    if not with_audio:
        raise UsageError(f"{corpus / AUDIO}: none of the {lines} utterances of {manifest} is there; {ORIGIN}")
    sys.stderr.write(f"HiFiTTS-2: {with_audio} of {lines} utterances have audio\n")
    for kind, data in sets.items():
        if not data.wav:
            raise UsageError(f"{manifest}: no utterance of set '{kind}' has audio: download more --hours")
    return sets | {kind: sets[kind].subset(draw(sets[kind].wav, held_out, seed)) for kind in ("dev", "test")}


def main(corpus: Path, folders: dict[str, str], data_dir: Path, held_out: int, seed: int) -> None:
    """Write the sources, ``dev`` and ``test``."""
    for folder in filter(None, folders.values()):
        if not Path(folder).is_dir():
            raise UsageError(f"{folder}: there is no such folder")
    sources = {"speech": read_speech(corpus, held_out, seed)}
    for name, folder in folders.items():
        if folder:
            sources[name] = folder_source(name, Path(folder), held_out, seed)
    write_sources(data_dir, sources)


if __name__ == "__main__":
    with one_line_errors("prepare.py"):
        main(
            Path(sys.argv[1]),
            {"music": sys.argv[2], "effects": sys.argv[3]},
            Path(sys.argv[4]),
            *map(int, sys.argv[5:7]),
        )
