"""Failures of ESPnet, PyTorch and the system that a user can act on, put in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import yaml
from espnet2.torch_utils.safe_torch_load import UnsafeLoadRefusedError

from evagan_plugin.errors import ConfigError, EvaganError


@contextmanager
def host_errors(output_dir: str | None) -> Iterator[None]:
    """Raise ESPnet's, PyTorch's and the system's failures that a user can act on as :class:`EvaganError`."""
    try:
        yield
    except EvaganError as error:
        # A data loader's worker sends its traceback; the last line is the message.
        if "Traceback" not in str(error):
            raise
        raise type(error)(_last_line(error).partition("Error: ")[2]) from error
    except torch.OutOfMemoryError as error:
        raise EvaganError(
            "out of GPU memory: reduce batch_size, or set vocoder_conf.generator.checkpointing true or "
            "vocoder_conf.training.discriminator_frames"
        ) from error
    except torch.distributed.DistError as error:
        raise EvaganError(
            f"the processes of the training do not find each other (address, port, network?): {_last_line(error)}"
        ) from error
    except UnsafeLoadRefusedError as error:
        raise EvaganError(
            f"a checkpoint is damaged or holds more than weights: {str(error).splitlines()[0]}"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"the config is not YAML: {' '.join(str(error).split())}") from error
    except OSError as error:
        raise EvaganError(f"{error.filename or output_dir}: {error.strerror or error}") from error
    except RuntimeError as error:
        if not str(error).startswith("Error(s) in loading state_dict"):
            raise
        raise ConfigError(f"a checkpoint is of another configuration: {_last_line(error).strip()}") from error


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
