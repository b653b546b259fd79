"""EVA-GAN on a folder of any audio, small enough for two CPU cores. See README.md beside this file."""

import os

from trainer import Trainer
from TTS.config.shared_configs import BaseAudioConfig
from TTS.vocoder.configs.eva_gan_config import EvaGanConfig, EvaGanTrainerArgs
from TTS.vocoder.models.eva_gan import EvaGan

from evagan_plugin.coqui.data import load_audio_dir


def main() -> None:
    args = EvaGanTrainerArgs(preset="eva_gan_tiny_16k")
    overrides = args.parse_known_args(arg_prefix="")

    config = EvaGanConfig(
        run_name="eva_gan_audio_dir",
        output_path=os.path.dirname(os.path.abspath(__file__)),
        data_path=args.data_path,
        vocoder_conf={"preset": args.preset, "training": {"discriminator_frames": 64}},
        audio=BaseAudioConfig(
            sample_rate=16000, resample=True, mel_fmin=80.0, mel_fmax=7600.0,
            log_func="np.log", spec_gain=1, signal_norm=False, do_trim_silence=False,
        ),
        batch_size=4,
        eval_batch_size=4,
        eval_split_size=4,
        save_step=1000,
    )  # fmt: skip
    config.parse_known_args(overrides, relaxed_parser=True)

    eval_samples, train_samples = load_audio_dir(args.data_path, config.eval_split_size)
    samples = {"train_samples": train_samples, "eval_samples": eval_samples}
    Trainer(args, config, config.output_path, model=EvaGan(config), **samples).fit()


if __name__ == "__main__":
    main()
