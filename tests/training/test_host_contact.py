"""A training step asks the host for nothing: a GPU would have to be waited for."""

import pytest
import torch
from host_contact import HostContact, without_autocast
from tiny_gan import FRAMES, HOP, TINY, tiny_gan

SETTINGS = {
    "plain": {},
    "balancer off": {"balancer": "off"},
    "average, crops, smoothing": {"training": {"ema": 0.99, "discriminator_frames": 16, "mel_smoothing": 2.0}},
    "late discriminators": {"training": {"discriminator_start_steps": 1}},
    "checkpointing": {"generator": TINY["generator"] | {"checkpointing": True}},
}


def test_contacts_are_seen():
    with HostContact() as contact:
        x = torch.ones(3, device="meta")
        x.new_tensor([1.0, 2.0, 3.0])
        torch.tensor(1.0, device="meta")
        torch.ones(3).to("meta")
        torch.tensor([1.0])  # stays on the host
    assert contact.found == ["new_tensor", "tensor", "aten._to_copy.default"]
    for read in (float, bool, lambda y: y.item()):
        with pytest.raises((RuntimeError, NotImplementedError)):
            read(x.sum())


@pytest.mark.parametrize("overrides", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_batch_needs_no_host(overrides, monkeypatch):
    without_autocast(monkeypatch)
    gan = tiny_gan(**overrides).to("meta")
    wav = torch.randn(2, 1, FRAMES * HOP, device="meta")
    smoothing = torch.ones(2, device="meta") if gan.config.training.mel_smoothing else None
    for batch in range(3):
        with HostContact() as contact:
            for step in (gan.discriminator_step, gan.generator_step):
                step(wav, smoothing=smoothing).loss.backward()
                gan.zero_grad(set_to_none=True)
        if batch > 1:  # once for each set of losses, the balancer's weights are brought to the device
            assert contact.found == []
