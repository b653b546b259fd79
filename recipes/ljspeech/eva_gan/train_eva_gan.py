"""EVA-GAN on LJSpeech, for Coqui's acoustic models of LJSpeech. See README.md beside this file."""

import os

from trainer import Trainer
from TTS.vocoder.configs.eva_gan_config import EvaGanConfig, EvaGanTrainerArgs
from TTS.vocoder.models.eva_gan import EvaGan

from evagan_plugin.coqui.data import load_audio_dir


def main() -> None:
    output_path = os.path.dirname(os.path.abspath(__file__))
    args = EvaGanTrainerArgs(data_path=os.path.join(output_path, "LJSpeech-1.1", "wavs"))
    overrides = args.parse_known_args(arg_prefix="")

    config = EvaGanConfig(
        run_name="eva_gan_ljspeech",
        output_path=output_path,
        data_path=args.data_path,
        vocoder_conf={"preset": args.preset},
        eval_batch_size=16,
        eval_split_size=100,
        num_loader_workers=4,
        num_eval_loader_workers=4,
        epochs=1000,
        save_step=10000,
    )
    config.parse_known_args(overrides, relaxed_parser=True)

    eval_samples, train_samples = load_audio_dir(args.data_path, config.eval_split_size)
    samples = {"train_samples": train_samples, "eval_samples": eval_samples}
    Trainer(args, config, config.output_path, model=EvaGan(config), **samples).fit()


if __name__ == "__main__":
    main()
