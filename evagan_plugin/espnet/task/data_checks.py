"""What is checked of the data before ESPnet starts."""

import argparse
import codecs
from collections.abc import Mapping

from evagan_plugin.audio.archive import ARCHIVED
from evagan_plugin.config import VocoderConfig
from evagan_plugin.data.augmentation import refuse_given_mels
from evagan_plugin.data.kaldi import check_no_segments, check_relative, read_scp
from evagan_plugin.data.mix import is_mix
from evagan_plugin.data.segments import unusable_recordings
from evagan_plugin.data.stream_items import StreamDataset
from evagan_plugin.errors import UsageError, nearest, some
from evagan_plugin.espnet.task.data import MIX

DATA_NAMES = ("wav", "feats")


def check_data(args: argparse.Namespace, config: VocoderConfig) -> None:
    """Check the data of a run.

    Raises:
        EvaganError: One line that says what is wrong, where, and what to do.
    """
    for split in ("train", "valid"):
        _check_split(split, getattr(args, f"{split}_data_path_and_name_and_type"), args, config)
    for path, name, _ in args.train_data_path_and_name_and_type:
        if name == "feats":
            refuse_given_mels(config.training, path)


def _check_split(split: str, sources: list, args: argparse.Namespace, config: VocoderConfig) -> None:
    option = f"--{split}_data_path_and_name_and_type"
    paths: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for source in sources:
        if isinstance(source, str) or len(source) != 3:
            raise UsageError(f"{option}: '{source}' is not PATH,NAME,TYPE such as dump/wav.scp,wav,sound")
        path, name, kind = source
        if name not in DATA_NAMES:
            raise UsageError(f"{option}: the vocoder task has no data '{name}': {nearest(name, DATA_NAMES)}")
        if name in paths:
            raise UsageError(f"{option}: '{name}' is given twice, {paths[name]} and {path}")
        paths[name], kinds[name] = path, kind
    if MIX in kinds.values() or any(map(is_mix, paths.values())):
        _check_mix(option, split, paths, kinds)
        StreamDataset.for_training(paths["wav"], config, args.seed)
        return
    for path in paths.values():
        _check_no_mark(path)
    if "wav" not in paths:
        raise UsageError(f"{option}: no audio; give DIR/wav.scp,wav,sound")
    check_no_segments(paths["wav"])
    recordings = read_scp(paths["wav"])
    archived = [key for key, place in recordings.items() if ARCHIVED.search(place)]
    if kinds["wav"] == "sound" and archived:
        raise UsageError(
            f"{paths['wav']}: {len(archived)} of {len(recordings)} recordings are in archives, which the training does "
            f"not read: {some(archived)}; `evagan format DIR OUT --sample-rate {config.mel.sample_rate}` makes files "
            "of them"
        )
    check_relative(paths["wav"], recordings.values())
    if kinds["wav"] == "sound":
        _check_recordings(paths["wav"], recordings, config.mel.sample_rate)
    if "feats" in paths:
        lacking = recordings.keys() - read_scp(paths["feats"]).keys()
        if lacking:
            raise UsageError(
                f"{paths['feats']}: {len(lacking)} utterance(s) of wav.scp have no features: {some(lacking)}"
            )


def _check_mix(option: str, split: str, paths: Mapping[str, str], kinds: Mapping[str, str]) -> None:
    name, kind = next((name, kind) for name, kind in kinds.items() if kind == MIX or is_mix(paths[name]))
    given = f"{option} {paths[name]},{name},{kind}"
    if (name, kind) != ("wav", MIX):
        raise UsageError(f"{given}: a mix is given as mix.yaml,wav,{MIX}")
    if not is_mix(paths[name]):
        raise UsageError(f"{given}: of type {MIX} is a mix.yaml; a wav.scp is of type sound")
    if split != "train":
        raise UsageError(
            f"{given}: a mix is for training; validation takes the same recordings each time: wav.scp,wav,sound"
        )
    if len(paths) > 1:
        raise UsageError(f"{given}: a mix has audio alone: leave out {' and '.join(paths.keys() - {name})}")


def _check_no_mark(path: str) -> None:
    """Refuse a table with a byte order mark, which ESPnet's reader takes for a part of the first id."""
    try:
        with open(path, "rb") as stream:
            marked = stream.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
    except OSError:
        return  # the reader will say what is wrong
    if marked:
        raise UsageError(
            f"{path}: UTF-8 with a byte order mark on line 1, which ESPnet takes for a part of the first id: "
            f"sed -i '1s/^\\xef\\xbb\\xbf//' {path}"
        )


def _check_recordings(scp: str, recordings: Mapping[str, str], sample_rate: int) -> None:
    """Read the header of every file; what is inside is checked when it is read."""
    problems = unusable_recordings(recordings, f"check {scp}", sample_rate)
    if problems:
        raise UsageError(
            f"{scp}: {len(problems)} of {len(recordings)} recordings cannot be used: {some(problems)}; "
            f"make a clean directory with `evagan format DIR OUT --sample-rate {sample_rate}`"
        )
