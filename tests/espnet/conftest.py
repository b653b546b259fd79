"""Real speech in Kaldi data directories, and runs of the vocoder task on it."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import yaml
from tiny_models import FEATURES, TACOTRON2, TINY, TINY_DISCRIMINATOR, TINY_GENERATOR, awaken

pytest.importorskip("espnet2", reason="the extra 'espnet' is not installed")


@pytest.fixture(scope="session")
def an4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directories ``train`` (6 utterances) and ``valid`` (2) with ``wav.scp``: AN4 speech of ESPnet, 16 kHz."""
    import espnet2

    archive = Path(espnet2.__file__).parents[1] / "egs3" / "mini_an4" / "esp2_asr" / "downloads.tar.gz"
    root = tmp_path_factory.mktemp("an4")
    with tarfile.open(archive) as packed:
        packed.extractall(root, filter="data")
    for split, folder in {"train": "an4_clstk", "valid": "an4test_clstk"}.items():
        lines = []
        for path in sorted((root / "downloads" / "an4" / "wav" / folder).rglob("*.sph")):
            wav, sample_rate = soundfile.read(path)
            target = root / split / f"{path.stem}.wav"
            target.parent.mkdir(exist_ok=True)
            soundfile.write(target, wav, sample_rate)
            lines.append(f"{path.stem} {target}\n")
        (root / split / "wav.scp").write_text("".join(lines))
    return root


@pytest.fixture(scope="session")
def mix(an4: Path) -> Path:
    """A ``mix.yaml`` of the utterances of ``an4``: the first two as one source, the others as another."""
    lines = (an4 / "train" / "wav.scp").read_text().splitlines(keepends=True)
    sources = {"few": (lines[:2], 0.3), "many": (lines[2:], 0.7)}
    for name, (part, _) in sources.items():
        (an4 / name).mkdir()
        (an4 / name / "wav.scp").write_text("".join(part))
    described = [{"name": name, "path": str(an4 / name), "share": share} for name, (_, share) in sources.items()]
    (an4 / "mix.yaml").write_text(yaml.safe_dump({"sources": described}))
    return an4 / "mix.yaml"


def merge(base: dict, over: dict) -> dict:
    """Return nested settings with others put over them."""
    both = {key for key in base.keys() & over.keys() if isinstance(base[key], dict) and isinstance(over[key], dict)}
    return base | over | {key: merge(base[key], over[key]) for key in both}


@pytest.fixture(scope="session")
def command(an4: Path) -> Callable[..., list[str]]:
    """Make the command line of a run: ``command(output_dir, {config}, train=DIR, feats=True)``; also train=MIX."""

    def make(output_dir: Path, config: dict | None = None, train: Path | None = None, feats: bool = False) -> list[str]:
        output_dir.parent.mkdir(parents=True, exist_ok=True)
        path = output_dir.with_name(f"{output_dir.name}.yaml")
        path.write_text(yaml.safe_dump(merge(TINY, config or {})))
        line = ["--config", str(path), "--output_dir", str(output_dir)]
        for split, folder in {"train": train or an4 / "train", "valid": an4 / "valid"}.items():
            data = f"{folder},wav,mix" if folder.suffix == ".yaml" else f"{folder}/wav.scp,wav,sound"
            line += [f"--{split}_data_path_and_name_and_type", data]
            if feats:
                line += [f"--{split}_data_path_and_name_and_type", f"{folder}/feats.scp,feats,npy"]
        return line

    return make


@pytest.fixture(scope="session")
def train(command: Callable[..., list[str]]) -> Callable[..., Path]:
    """Run the task in this process, on one thread: ``train(output_dir, {config}, ...)`` returns ``output_dir``."""
    import torch

    from evagan_plugin.espnet.task.task import VocoderTask

    def run(output_dir: Path, config: dict | None = None, **data: object) -> Path:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            VocoderTask.main(cmd=command(output_dir, config, **data))
        finally:
            torch.set_num_threads(threads)
        return output_dir

    return run


@pytest.fixture(scope="session")
def spoken(an4: Path) -> Path:
    """The directories of ``an4`` with ``text`` and ``text_shape`` and, above them, ``tokens.txt``: letters."""
    letters = set()
    for split, name in {"train": "an4_train", "valid": "an4_test"}.items():
        transcripts = (an4 / "downloads" / "an4" / "etc" / f"{name}.transcription").read_text()
        said = {}
        for line in transcripts.splitlines():
            words, _, utterance = line.removesuffix(")").rpartition("(")
            said[utterance] = " ".join(word for word in words.split() if not word.startswith("<"))
        recorded = [line.split()[0] for line in (an4 / split / "wav.scp").read_text().splitlines()]
        present = [utterance for utterance in recorded if utterance in said]
        letters |= {letter for utterance in present for letter in said[utterance]}
        (an4 / split / "text").write_text("".join(f"{utterance} {said[utterance]}\n" for utterance in present))
        (an4 / split / "text_shape").write_text(
            "".join(f"{utterance} {len(said[utterance])}\n" for utterance in present)
        )
    symbols = ["<blank>", "<unk>", "<space>", *sorted(letters - {" "}), "<sos/eos>"]
    (an4 / "tokens.txt").write_text("".join(f"{symbol}\n" for symbol in symbols))
    return an4


SPEAKING = {
    "feats_extract": "fbank",
    "feats_extract_conf": FEATURES,
    "normalize": None,
    "batch_type": "sorted",
    "batch_size": 2,
    "max_epoch": 1,
    "num_iters_per_epoch": 2,
    "num_workers": 0,
    "num_att_plot": 0,
    "use_matplotlib": False,
    "keep_nbest_models": 1,
}


@pytest.fixture(scope="session")
def speaking_command(spoken: Path) -> Callable[[Path, dict], list[str]]:
    """Make the command line of ESPnet's ``tts_train`` or ``gan_tts_train``: ``make(output_dir, {config})``."""

    def make(output_dir: Path, config: dict) -> list[str]:
        output_dir.parent.mkdir(parents=True, exist_ok=True)
        path = output_dir.with_name(f"{output_dir.name}.yaml")
        path.write_text(yaml.safe_dump(SPEAKING | config))
        line = ["--config", str(path), "--output_dir", str(output_dir), "--token_type", "char"]
        line += ["--token_list", str(spoken / "tokens.txt")]
        for split in ("train", "valid"):
            line += [f"--{split}_data_path_and_name_and_type", f"{spoken / split}/text,text,text"]
            line += [f"--{split}_data_path_and_name_and_type", f"{spoken / split}/wav.scp,speech,sound"]
            line += [f"--{split}_shape_file", f"{spoken / split}/text_shape"]
        return line

    return make


@pytest.fixture(scope="session")
def joint_config() -> dict:
    """Tacotron2 and EVA-GAN trained together, as small as they get."""
    return {
        "tts": "joint_text2wav",
        "tts_conf": {
            "segment_size": 16,
            "text2mel_type": "tacotron2",
            "text2mel_params": dict(TACOTRON2),
            "vocoder_type": "eva_gan",
            "vocoder_params": TINY_GENERATOR,
            "discriminator_type": "eva_gan_discriminator",
            "discriminator_params": TINY_DISCRIMINATOR,
        },
    }


@pytest.fixture(scope="session")
def acoustic_model(speaking_command: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiment directory of a Tacotron2 that ESPnet's ``tts_train`` made in this process."""
    import torch
    from espnet2.tasks.tts import TTSTask

    output_dir = tmp_path_factory.mktemp("acoustic") / "exp"
    torch.manual_seed(0)
    TTSTask.main(cmd=speaking_command(output_dir, {"tts": "tacotron2", "tts_conf": TACOTRON2}))
    return output_dir


@pytest.fixture(scope="session")
def tiny_vocoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint directory of ours (random weights) whose mel is the acoustic model's but for the logarithm."""
    import torch

    from evagan_plugin.checkpoint.native import save_checkpoint
    from evagan_plugin.config import build_config
    from evagan_plugin.model.generator import EVAGANGenerator

    config = build_config(TINY["vocoder_conf"])
    torch.manual_seed(0)
    directory = tmp_path_factory.mktemp("vocoder")
    save_checkpoint(directory, config, awaken(EVAGANGenerator.from_config(config)))
    return directory


@pytest.fixture(scope="session")
def trained_vocoder(train: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a short run of ``vocoder_train``, with its ``config.yaml`` beside it."""
    experiment = train(tmp_path_factory.mktemp("voc") / "exp", {"num_iters_per_epoch": 1})
    return experiment / "valid.mel.best.pth"
