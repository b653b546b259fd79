"""What ESPnet's loop asks of a device: nothing in a step, and once for all values that it reports."""

import torch
from espnet2.train.reporter import Reporter
from host_contact import HostContact, without_autocast
from tiny_gan import FRAMES, HOP, tiny_gan
from torch.utils._python_dispatch import TorchDispatchMode

from evagan_plugin.espnet.task.model import ESPnetVocoderModel
from evagan_plugin.espnet.task.trainer import _fetch_at_once


class Reads(TorchDispatchMode):
    """Counts values that are read one by one."""

    count = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*arguments, **(options or {}))


def test_a_step_needs_no_host(monkeypatch):
    without_autocast(monkeypatch)
    model = ESPnetVocoderModel(tiny_gan()).to("meta")
    wav = torch.randn(2, FRAMES * HOP, device="meta")
    for _ in range(2):
        with HostContact() as contact:
            for forward_generator in (False, True):
                result = model(wav, forward_generator=forward_generator)
                result["loss"].backward()
    assert contact.found == []
    assert result["weight"].shape == (1,) and result["weight"].dtype == torch.long


def test_values_are_fetched_at_once_and_stay_the_same():
    stats = {"loss": torch.tensor([0.1]), "mel": torch.tensor(2.5)}
    reports, reads = [], []
    for fetched in (False, True):
        with Reporter().observe("train", epoch=1) as reporter:
            if fetched:
                _fetch_at_once(reporter)
            with Reads() as counted:
                reporter.register(stats, torch.tensor([4]))
            reporter.register({"optim0_lr0": 2e-4, "missing": None})
            reporter.next()
            reports.append(dict(reporter.stats))
            reads.append(counted.count)
    assert reads == [4, 0]
    for name, (plain,) in reports[0].items():
        (ours,) = reports[1][name]
        assert type(ours) is type(plain) and vars(ours).keys() == vars(plain).keys()
        torch.testing.assert_close(
            torch.tensor(vars(ours)["value"]), torch.tensor(vars(plain)["value"]), equal_nan=True
        )
        assert getattr(ours, "weight", None) == getattr(plain, "weight", None)
