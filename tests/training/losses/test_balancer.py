"""The balancer against EnCodec's invariants, and without the traps of the original."""

import logging

import pytest
import torch

from evagan_plugin.errors import ConfigError
from evagan_plugin.training.losses import LossBalancer

WEIGHTS = {"mel": 4.0, "adv": 1.0, "fm": 3.0}


@pytest.fixture
def y():
    torch.manual_seed(0)
    return torch.randn(3, 1, 50, dtype=torch.double, requires_grad=True)


def losses_of(y, scale=1.0):
    return {"mel": scale * y.abs().mean(), "adv": (1 - y).square().mean(), "fm": (y * torch.arange(50)).sin().sum()}


def item_norms(gradient):
    return gradient.flatten(1).norm(dim=1)


def test_shares_of_the_first_step_are_the_weights(y):
    balancer = LossBalancer(WEIGHTS).double()
    gradients = {name: torch.autograd.grad(loss, y, retain_graph=True)[0] for name, loss in losses_of(y).items()}
    balanced, stats = balancer.combine(gradients)
    for name, weight in WEIGHTS.items():
        assert stats[f"share_{name}"] == pytest.approx(weight / 8)
        assert stats[f"norm_{name}"] == pytest.approx(float(item_norms(gradients[name]).mean()))
    expected = sum(WEIGHTS[n] / 8 * g / item_norms(g).mean() for n, g in gradients.items())
    assert torch.allclose(balanced, expected)
    assert item_norms(balanced).mean() <= 1.0 + 1e-9


@pytest.mark.parametrize("scale", [1e3, 1e-4])
def test_scaling_a_loss_changes_nothing(y, scale):
    plain, scaled = LossBalancer(WEIGHTS).double(), LossBalancer(WEIGHTS).double()
    for _ in range(3):
        assert torch.allclose(plain(losses_of(y), y), scaled(losses_of(y, scale), y), atol=1e-6)


def test_the_average_equals_its_closed_form(y):
    balancer = LossBalancer({"mel": 1.0}, decay=0.9).double()
    norms = [1.0, 5.0, 2.0, 7.0]
    direction = torch.zeros_like(y)
    direction[:, 0, 0] = 1.0
    for norm in norms:
        balanced, _ = balancer.combine({"mel": norm * direction})
    powers = torch.tensor([0.9**i for i in range(4)], dtype=torch.double)
    average = (powers.flip(0) * torch.tensor(norms, dtype=torch.double)).sum() / powers.sum()
    assert torch.allclose(item_norms(balanced), 7.0 / average)


def test_the_surrogate_has_the_balanced_gradient(y):
    torch.manual_seed(0)
    network = torch.nn.Linear(50, 50).double()
    balancer = LossBalancer(WEIGHTS).double()
    fake = network(y.detach())
    leaf = fake.detach().requires_grad_()
    balanced = balancer(losses_of(leaf), leaf)
    surrogate = torch.autograd.grad((fake * balanced).sum(), list(network.parameters()), retain_graph=True)
    average = balancer.total / balancer.fix
    direct = torch.autograd.grad(
        sum(
            w / 8 / (1e-12 + a) * loss
            for (w, a, loss) in zip(WEIGHTS.values(), average, losses_of(fake).values(), strict=True)
        ),
        list(network.parameters()),
    )
    for left, right in zip(surrogate, direct, strict=True):
        assert torch.allclose(left, right, atol=1e-14)


def test_state_makes_a_resumed_run_the_same_run(y):
    unbroken, first = LossBalancer(WEIGHTS).double(), LossBalancer(WEIGHTS).double()
    inputs = [(y * (i + 1)).detach().requires_grad_() for i in range(6)]
    expected = [unbroken(losses_of(x), x) for x in inputs]
    for x in inputs[:3]:
        first(losses_of(x), x)
    second = LossBalancer(WEIGHTS).double()
    second.load_state_dict(first.state_dict())
    for x, balanced in zip(inputs[3:], expected[3:], strict=True):
        assert torch.equal(second(losses_of(x), x), balanced)
    assert all(buffer.is_floating_point() for buffer in second.buffers())  # hosts average checkpoints by summing


def test_a_gradient_that_is_not_finite_is_left_out_and_reported(y, caplog):
    balancer = LossBalancer({"mel": 1.0, "adv": 1.0}).double()
    good = torch.randn_like(y)
    balancer.combine({"mel": good, "adv": good})
    before = balancer.total.clone(), balancer.fix.clone()
    bad = good.clone()
    bad[0, 0, 0] = torch.inf
    with caplog.at_level(logging.WARNING):
        balanced, stats = balancer.combine({"mel": good, "adv": bad})
    assert torch.isfinite(balanced).all()
    assert stats["skipped"] == 1 and stats["share_mel"] == 1
    assert "step 2: the gradient of adv is not finite" in caplog.text
    assert (balancer.total[1], balancer.fix[1]) == (before[0][1], before[1][1])
    balanced, stats = balancer.combine({"mel": good, "adv": good})
    assert stats["share_adv"] == pytest.approx(0.5)


def test_a_loss_may_start_late_and_pause(y):
    balancer = LossBalancer(WEIGHTS).double()
    gradient = torch.randn_like(y)
    for _ in range(5):
        balancer.combine({"mel": gradient})
    late, stats = balancer.combine({"mel": gradient, "adv": 1e-6 * gradient})
    assert stats["share_adv"] == pytest.approx(0.2)  # bias correction: its weight from its first step on
    assert item_norms(late).mean() == pytest.approx(1.0)
    balancer.combine({"fm": gradient})
    balancer.combine({"mel": gradient, "fm": gradient})


def test_a_loss_without_a_weight_is_reported(y):
    with pytest.raises(ConfigError, match="'mell' has no weight in the balancer: did you mean 'mel'"):
        LossBalancer(WEIGHTS).combine({"mell": y})


@pytest.mark.parametrize("weights", [{}, {"mel": 0.0}, {"mel": 1.0, "adv": -1.0}])
def test_weights_must_be_positive(weights):
    with pytest.raises(ConfigError, match="positive"):
        LossBalancer(weights)


def _worker(rank, store, queue):
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    balancer = LossBalancer({"mel": 1.0}).double()
    items = 1 if rank == 0 else 3
    gradient = torch.zeros(items, 4, dtype=torch.double)
    gradient[:, 0] = 2.0 if rank == 0 else 6.0
    balancer.combine({"mel": gradient})
    queue.put(float(balancer.total[0]))
    torch.distributed.destroy_process_group()


def test_workers_share_the_norms_of_one_process_with_all_items(tmp_path):
    context = torch.multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=_worker, args=(rank, tmp_path / "store", queue)) for rank in range(2)]
    for worker in workers:
        worker.start()
    totals = [queue.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert totals == [pytest.approx((1**2 * 2.0 + 3**2 * 6.0) / 4**2)] * 2
