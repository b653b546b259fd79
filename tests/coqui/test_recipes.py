"""The recipes run to their end on real recordings."""

import json
from pathlib import Path

import pytest
import soundfile

from evagan_plugin.inference.eva_gan import EVAGANVocoder

RECIPES = sorted((Path(__file__).resolve().parents[2] / "recipes").glob("*/eva_gan/train_eva_gan.py"))
SMALL = ("--max_steps", "2", "--coqpit.batch_size", "2", "--coqpit.eval_split_size", "2", "--coqpit.print_step", "1")


def run(program, recipe: Path, data: Path, output: Path, *options: str):
    arguments = ("--data_path", data, "--coqpit.output_path", output, "--coqpit.num_test_utterances", "1", *options)
    workers = ("--coqpit.num_loader_workers", "1", "--coqpit.num_eval_loader_workers", "0")
    return program(recipe, *arguments, *workers)


def test_recipes_are_short():
    assert RECIPES
    for recipe in RECIPES:
        assert len(recipe.read_text().splitlines()) <= 40
        assert (recipe.parent / "README.md").is_file()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.parents[1].name)
def test_a_recipe_trains_a_little(recipe, program, settings, speech, tmp_path):
    vocoder = json.dumps(settings(tmp_path)["vocoder_conf"])
    resampling = ("--coqpit.audio.resample", "true", "--coqpit.vocoder_conf", vocoder)
    done = run(program, recipe, speech, tmp_path / "out", *SMALL, *resampling)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "out").iterdir()
    assert EVAGANVocoder.load(folder / "checkpoint_2.pth").synthesize(_mel()).shape == (10 * 256,)


@pytest.mark.slow
def test_audio_dir_as_it_is_on_recordings_of_many_rates(program, shared_audio, tmp_path):
    recipe = next(path for path in RECIPES if path.parents[1].name == "audio_dir")
    done = run(program, recipe, shared_audio / "lowrate", tmp_path / "out", "--max_steps", "20")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "out").iterdir()
    assert (folder / "checkpoint_20.pth").is_file()


@pytest.mark.slow
def test_ljspeech_on_utterances_of_ljspeech(program, shared_audio, tmp_path):
    """As its README says for CPUs."""
    recipe = next(path for path in RECIPES if path.parents[1].name == "ljspeech")
    wavs = tmp_path / "LJSpeech-1.1" / "wavs"
    wavs.mkdir(parents=True)
    utterances = sorted((shared_audio / "lowrate" / "speech").glob("speech_ljspeech_*.flac"))
    for path in utterances:
        wav, sample_rate = soundfile.read(path)
        soundfile.write(wavs / f"{path.stem}.wav", wav, sample_rate)
    small = ("--preset", "eva_gan_tiny_16k", "--coqpit.batch_size", "2", "--coqpit.eval_split_size", "4")
    done = run(program, recipe, wavs, tmp_path / "out", "--max_steps", "20", *small)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "out").iterdir()
    vocoder = EVAGANVocoder.load(folder / "checkpoint_20.pth")
    assert vocoder.mel.sample_rate == 22050 and vocoder.mel.f_max == 8000


def test_a_recipe_without_data_says_so_in_one_line(program):
    done = program(RECIPES[0], "--max_steps", "2", "--data_path", "nowhere")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "evagan: error: there is no folder 'nowhere' of recordings: give one with --data_path"
    )


def _mel():
    import torch

    return torch.zeros(80, 10)
