"""Every training config that is shipped builds the model that it describes."""

from pathlib import Path

import pytest
import yaml

from evagan_plugin.config import build_config, config_to_dict, merge_settings, read_settings

EGS = Path(__file__).resolve().parents[1] / "egs"
CONFIGS = sorted(path.relative_to(EGS).as_posix() for path in EGS.glob("*/voc1/conf/train_*.yaml"))
TUNINGS = sorted(path.relative_to(EGS).as_posix() for path in EGS.glob("TEMPLATE/voc1/conf/tuning/**/*.yaml"))
ABLATION_BASES = ("eva_gan_mini_16k", "eva_gan_base_44k")


def test_there_are_configs():
    assert {path.split("/")[0] for path in CONFIGS} >= {
        "TEMPLATE",
        "mini_an4",
        "audio_dir",
        "cc0_voices",
        "ljspeech",
        "libritts",
        "vctk",
    }


@pytest.mark.parametrize("path", CONFIGS)
def test_a_shipped_config_builds(path, tmp_path):
    model = build(EGS / path, tmp_path)
    assert sum(p.numel() for p in model.gan.generator.parameters()) > 100_000


def test_the_rivals_of_one_table_differ_in_the_generator_the_rate_and_the_steps():
    def rest(name):
        settings = read_settings(EGS / "cc0_voices" / "voc1" / "conf" / f"train_{name}_16k.yaml")
        config = config_to_dict(build_config(settings["vocoder_conf"]))
        own = {"generator", "vocos", "training"}
        training = {key: value for key, value in config["training"].items() if key != "discriminator_start_steps"}
        shared = {key: settings[key] for key in ("batch_size", "grad_clip", "scheduler")}
        return {key: value for key, value in config.items() if key not in own} | training | shared

    assert rest("eva_gan_tiny") == rest("vocos") == rest("hifigan")


@pytest.mark.parametrize("base", ABLATION_BASES)
@pytest.mark.parametrize("path", TUNINGS)
def test_a_tuning_config_changes_its_base_and_builds(path, base, tmp_path):
    """Differences in ``conf/tuning`` fit both bases of the ablations; those in ``conf/tuning/BASE`` that base."""
    folder = (EGS / path).parent
    if folder.name not in ("tuning", base):
        pytest.skip(f"for {folder.name} only")
    settings = read_settings(EGS / "audio_dir" / "voc1" / "conf" / f"train_{base}.yaml")
    layered = tmp_path / "train.yaml"
    layered.write_text(yaml.safe_dump(merge_settings(settings, read_settings(EGS / path))))
    assert build(layered, tmp_path).gan.config != build_config(settings["vocoder_conf"])


def build(config, folder):
    task = pytest.importorskip("evagan_plugin.espnet.task.task", reason="the extra `espnet` brings ESPnet").VocoderTask
    arguments = task.get_parser().parse_args(["--config", str(config), "--output_dir", str(folder)])
    unknown = read_settings(config).keys() - vars(arguments).keys()
    assert not unknown, f"the task has no option {unknown}"
    return task.build_model(arguments)
