"""Where to compute: a device that a user names is looked for before anything long begins."""

import torch

from evagan_plugin.errors import UsageError


def checked_device(device: str | torch.device) -> torch.device:
    """Return a device that is there.

    Raises:
        UsageError: If it is not, or its name is not one of torch's.
    """
    try:
        device = torch.device(device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"device '{device}' is not available: {str(error).splitlines()[0]}") from None
    return device
