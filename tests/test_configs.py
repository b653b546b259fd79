"""Every training config that is shipped builds the model that it describes."""

from pathlib import Path

import pytest
import yaml

EGS = Path(__file__).resolve().parents[1] / "egs"
CONFIGS = sorted(
    path.relative_to(EGS).as_posix()
    for path in EGS.glob("*/voc1/conf/**/*.yaml")
    if "vocoder" in yaml.safe_load(path.read_text(encoding="utf-8"))
)


def test_there_are_configs():
    assert {path.split("/")[0] for path in CONFIGS} >= {"TEMPLATE", "mini_an4", "audio_dir", "ljspeech"}


@pytest.mark.parametrize("path", CONFIGS)
def test_a_shipped_config_builds(path, tmp_path):
    task = pytest.importorskip("evagan_plugin.espnet.task", reason="the extra `espnet` brings ESPnet").VocoderTask
    arguments = task.get_parser().parse_args(["--config", str(EGS / path), "--output_dir", str(tmp_path)])
    unknown = yaml.safe_load((EGS / path).read_text(encoding="utf-8")).keys() - vars(arguments).keys()
    assert not unknown, f"the task has no option {unknown}"
    model = task.build_model(arguments)
    assert sum(p.numel() for p in model.gan.generator.parameters()) > 100_000
