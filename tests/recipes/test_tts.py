"""The text-to-speech recipe: its parts, what it says of what is missing, and one slow run from text to a table."""

import shutil

import pytest
import yaml


@pytest.fixture(scope="session")
def corpora(egs):
    return sorted(path.parent for path in egs.glob("*/tts1/run.sh"))


def test_every_corpus_shares_the_template_and_the_vocoders_parts(corpora, egs):
    assert {path.parent.name for path in corpora} >= {"mini_an4", "ljspeech"}
    for corpus in corpora:
        assert len((corpus / "run.sh").read_text().splitlines()) <= 40
        assert (corpus / "README.md").exists()
        assert (corpus / "tts.sh").resolve() == (egs / "TEMPLATE" / "tts1" / "tts.sh").resolve()
        for name in ("cmd.sh", "path.sh", "utils"):
            assert (corpus / name).resolve() == (egs / "TEMPLATE" / "voc1" / name).resolve()
        assert (corpus / "local").resolve() == (corpus.parent / "voc1" / "local").resolve()
        for name in ("tts.sh", "cmd.sh", "path.sh", "utils", "local"):
            assert not (corpus / name).readlink().is_absolute()


def test_the_acoustic_models_mel_is_the_vocoders(corpora):
    """Every acoustic config's features can be converted to the mel of the vocoder that run.sh names."""
    pytest.importorskip("espnet2", reason="the extra 'espnet' is not installed")
    from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank

    from evagan_plugin.config import build_config
    from evagan_plugin.espnet.tts.vocoder import convert_mels, mel_of

    for corpus in corpora:
        line = next(line for line in (corpus / "run.sh").read_text().splitlines() if "--vocoder_config" in line)
        vocoder = yaml.safe_load((corpus / line.split()[1]).read_text())
        mel = build_config(vocoder["vocoder_conf"]).mel
        configs = list((corpus / "conf").glob("train_*.yaml"))
        assert configs
        for path in configs:
            acoustic = yaml.safe_load(path.read_text())
            convert_mels(mel_of(LogMelFbank(**acoustic["feats_extract_conf"])), mel, path.name)


def test_every_config_builds(corpora):
    pytest.importorskip("espnet2", reason="the extra 'espnet' is not installed")
    from espnet2.tasks.gan_tts import GANTTSTask
    from espnet2.tasks.tts import TTSTask

    for path in [path for corpus in corpora for path in (corpus / "conf").glob("train_*.yaml")]:
        together = "vocoder_type" in yaml.safe_load(path.read_text())["tts_conf"]
        task = GANTTSTask if together else TTSTask
        args = task.get_parser().parse_args(["--config", str(path), "--normalize", "none"])
        args.token_list = ["<blank>", "<unk>", "A", "<sos/eos>"]
        model = task.build_model(args)
        assert model.feats_extract.output_size() == 80
        task.build_optimizers(args, model)


def test_a_missing_vocoder_and_a_missing_stage_are_named(recipe, run):
    place = recipe("mini_an4/tts1")
    mine = ["--vocoder", "../voc1/exp/voc_eva_gan_tiny/valid.mel.best.pth"]
    done = run(place, "./run.sh", *mine, "--stage", 5, "--stop_stage", 5)
    assert done.returncode == 1
    assert "there is no vocoder ../voc1/exp/voc_eva_gan_tiny/valid.mel.best.pth; train one in ../voc1" in done.stderr
    done = run(place, "./run.sh", *mine, "--stage", 4, "--stop_stage", 4)
    assert done.returncode == 1
    assert "stage 3 makes it: ./run.sh --stage 3 --stop_stage 3" in done.stderr
    assert run(place, "./run.sh", "--vocodr", "x").returncode == 2
    done = run(place, "./run.sh", "--vocoder", "eva_gan_tinny_16k", "--stage", 5)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "there is no checkpoint eva_gan_tinny_16k" in done.stderr


@pytest.mark.parametrize("stage", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_features_that_the_vocoder_cannot_take_are_told_before_training(stage, recipe, run):
    pytest.importorskip("espnet2", reason="the extra 'espnet' is not installed")
    recipe("mini_an4/voc1")
    place = recipe("mini_an4/tts1")
    settings = yaml.safe_load((place / "conf/train_tacotron2.yaml").read_text())
    settings["feats_extract_conf"]["fmin"] = 0
    (place / "train_other.yaml").write_text(yaml.safe_dump(settings))
    for name in ("dump/tokens_char.txt", "exp/tts_stats_other/train/feats_stats.npz"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("an earlier stage has made it")
    words = ["--train_config", "train_other.yaml", "--vocoder", "../voc1/exp/none.pth"]
    done = run(place, "./run.sh", *words, "--stage", stage, "--stop_stage", stage)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("check_mel: error: the mel of the acoustic model does not fit the vocoder ../voc1/conf/")
    assert "f_min is 0" in last
    assert not (place / "exp/tts_other").exists()


@pytest.mark.slow
def test_from_text_to_a_table(recipe, run, egs):
    pytest.importorskip("espnet2", reason="the extra 'espnet' is not installed")
    recipe("mini_an4/voc1")
    place = recipe("mini_an4/tts1")
    shutil.rmtree(place / "exp", ignore_errors=True)
    few = "--max_epoch 1 --num_iters_per_epoch 2"
    done = run(place, "./run.sh", "--nj", 1, "--train_args", few, "--finetune_args", few)
    assert done.returncode == 0, done.stderr
    assert len(list((place / "exp/tts_tacotron2/speech/test/wav").glob("*.wav"))) == 2
    table = (place / "exp/tts_tacotron2/scores/test/RESULTS.md").read_text()
    assert "before" in table
    assert "after" in table
    speak = ["./run.sh", "--nj", 1, "--stage", 5, "--stop_stage", 5]
    assert "speech/test is up to date" in run(place, *speak).stderr
    done = run(place, *speak, "--inference_args", "--maxlenratio 2")
    assert done.returncode == 0, done.stderr
    assert "up to date" not in done.stderr
