"""Joint training by ESPnet's own commands: units of it, worker processes, and what is said where it cannot be."""

import pytest
import torch
from espnet2.bin.tts_inference import Text2Speech
from host_commands import run
from tiny_models import HOP, WHOLE

from evagan_plugin.errors import UsageError
from evagan_plugin.espnet import register

register()


@pytest.mark.parametrize(
    ("module", "autoload"),
    [
        ("espnet2.bin.gan_tts_train", "1"),
        pytest.param("evagan_plugin.espnet.bin.gan_tts_train", "0", marks=pytest.mark.slow),
    ],
)
def test_espnets_command_trains_and_what_it_made_speaks(module, autoload, joint_config, speaking_command, tmp_path):
    exp = tmp_path / "exp"
    name = "eva_gan" if autoload == "1" else "eva_gan_generator"
    config = {**joint_config, "tts_conf": {**joint_config["tts_conf"], "vocoder_type": name}}
    done = run("-m", module, *speaking_command(exp, config), autoload=autoload)
    assert done.returncode == 0, done.stderr[-2000:]
    speaker = Text2Speech(exp / "config.yaml", exp / "1epoch.pth", maxlenratio=1.0)
    out = speaker("YES NO")
    assert speaker.fs == 16000
    assert len(out["wav"]) == len(out["feat_gen"]) * HOP
    assert torch.isfinite(out["wav"]).all()
    with pytest.raises(UsageError, match="a text has no token that the acoustic model knows"):
        speaker("\u03c9")
    vocoder, seen = speaker.tts.generator["vocoder"], []
    assert not any("parametrizations" in name for name in vocoder.state_dict())
    vocoder.register_forward_hook(lambda *_: seen.append(torch.is_inference_mode_enabled()))
    wav = speaker("YES")["wav"]
    assert seen == [True]
    wav *= 0.5  # which PyTorch refuses for what inference_mode has made


def test_without_hook_and_wrapper_espnets_command_fails_with_the_reason(joint_config, speaking_command, tmp_path):
    done = run("-m", "espnet2.bin.gan_tts_train", *speaking_command(tmp_path / "exp", joint_config), autoload="0")
    assert done.returncode == 1
    *_, error, reminder = done.stderr.strip().splitlines()
    assert error == "KeyError: 'eva_gan'"
    assert reminder.startswith("EVAGAN_PLUGIN_AUTOLOAD=0: espnet2 does not know EVA-GAN; unset it, or call ")
    assert not list(tmp_path.rglob("*.pth"))


SPAWN = """
import argparse, importlib, multiprocessing, sys

program = importlib.import_module(sys.argv.pop(1))
sys.modules["__main__"].__spec__ = program.__spec__  # as `python -m` leaves it for the workers to import
if __name__ == "__main__":
    from espnet2.tasks.gan_tts import GANTTSTask
    from espnet2.train.distributed_utils import free_port

    args = GANTTSTask.get_parser().parse_args()
    address = {"dist_master_addr": "localhost", "dist_master_port": free_port(), "dist_world_size": 2}
    workers = []
    for rank in range(2):
        options = {**vars(args), **address, "distributed": True, "dist_rank": rank, "local_rank": rank}
        options = argparse.Namespace(**options, version="")
        workers.append(multiprocessing.get_context("spawn").Process(target=GANTTSTask.main_worker, args=(options,)))
        workers[-1].start()
    for worker in workers:
        worker.join()
    sys.exit(max(worker.exitcode for worker in workers))
"""
"""What ``--multiprocessing_distributed true`` does with one process per GPU, here on CPUs."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "autoload", "status"),
    [
        ("espnet2.bin.gan_tts_train", "1", 0),
        ("evagan_plugin.espnet.bin.gan_tts_train", "0", 0),
        ("espnet2.bin.gan_tts_train", "0", 1),
    ],
)
def test_spawned_workers_know_the_classes(module, autoload, status, joint_config, speaking_command, tmp_path):
    config = {**joint_config, "dist_backend": "gloo", "unused_parameters": True, "batch_size": 4}
    line = speaking_command(tmp_path / "exp", config)
    done = run("-c", SPAWN, module, *line, autoload=autoload)
    assert done.returncode == status, done.stderr[-3000:]
    assert (tmp_path / "exp" / "1epoch.pth").exists() == (status == 0)


@pytest.mark.slow
def test_espnets_command_trains_and_resumes_with_the_balancer(joint_config, speaking_command, tmp_path):
    conf = {**joint_config["tts_conf"], "vocoder_params": WHOLE}
    for name in ("vocoder_type", "discriminator_type", "discriminator_params"):
        del conf[name]
    line = speaking_command(tmp_path / "exp", {"tts": "eva_gan_joint", "tts_conf": conf})
    line = ["-m", "espnet2.bin.gan_tts_train", *line]
    assert run(*line).returncode == 0
    done = run(*line, "--max_epoch", 2, "--resume", "true")
    assert done.returncode == 0, done.stderr[-2000:]
    state = torch.load(tmp_path / "exp" / "checkpoint.pth", weights_only=True)["model"]
    assert state["tts.gan.balancer.step"] == 4


@pytest.mark.slow
def test_a_wrong_config_ends_espnets_command_in_one_line(joint_config, speaking_command, tmp_path):
    conf = {**joint_config["tts_conf"], "vocoder_params": {"preset": "eva_gan_base_44k"}}
    line = speaking_command(tmp_path / "exp", {**joint_config, "tts_conf": conf})
    done = run("-m", "espnet2.bin.gan_tts_train", *line)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "n_shift 256, the generator makes 512" in done.stderr.strip().splitlines()[-1]
