"""The loss balancer (EnCodec, arXiv 2210.13438, section 3.4).

For each loss i, with y the generator's output and B items in the batch:

    g_i      = grad of L_i with respect to y
    n_i      = mean over items b of |g_i[b]|_2
    total_i  = decay * total_i + n_i,  fix_i = decay * fix_i + 1,  average_i = total_i / fix_i
    lambda_i = (w_i / sum w) * total_norm / (epsilon + average_i)
    balanced = sum_i lambda_i * g_i

so that a weight is a loss's part of the gradient, whatever the loss's own scale.
"""

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from evagan_plugin.errors import ConfigError, nearest

logger = logging.getLogger(__name__)


class LossBalancer(nn.Module):
    """Weighs gradients at the generator's output by their own average norms.

    Use, in a generator step::

        y = fake.detach().requires_grad_()
        balanced = balancer(losses_of(y), y)            # {"mel": ..., "adv_mpd": ...}
        surrogate = (fake * balanced).sum()             # its gradient with respect to fake is the balanced one
        surrogate.backward()

    The averages are float buffers: they are saved with the model, follow it to its device, and are shared by
    workers under ``torch.distributed``. A loss may be absent until it starts. The gradient of a loss whose norm is
    not finite is left out of that step and out of the average; on a CPU a warning names the loss, on other devices,
    which would have to be waited for, the statistics do. Norms are those of
    items, so the gradient of the parameters grows with the batch: choose ``grad_clip`` for the batch size at hand.

    Args:
        weights: Weight of each loss, by name; they need not sum to 1.
        total_norm: Sum of the average norms of the balanced gradients, per item.
        decay: Decay of the average norms per step.
        epsilon: Added to an average norm before dividing by it.
    """

    def __init__(
        self, weights: Mapping[str, float], total_norm: float = 1.0, decay: float = 0.999, epsilon: float = 1e-12
    ) -> None:
        super().__init__()
        if not weights or min(weights.values()) <= 0:
            raise ConfigError(f"balancer weights must be positive: {dict(weights)}")
        self.weights = dict(weights)
        self.total_norm, self.decay, self.epsilon = total_norm, decay, epsilon
        self.register_buffer("total", torch.zeros(len(weights)))
        self.register_buffer("fix", torch.zeros(len(weights)))
        self.register_buffer("step", torch.zeros(()))
        self._places: dict[tuple[tuple[str, ...], torch.device], tuple[Tensor, Tensor]] = {}

    def forward(self, losses: Mapping[str, Tensor], y: Tensor) -> Tensor:
        """Balance the gradients of losses.

        Args:
            losses: Scalars by name; each was computed from ``y``.
            y: The generator's output (B, ...), a leaf that requires a gradient.

        Returns:
            Tensor: The balanced gradient, shaped like ``y``, detached.
        """
        names = list(losses)
        return self.combine(
            {name: torch.autograd.grad(losses[name], y, retain_graph=name != names[-1])[0] for name in names}
        )[0]

    def combine(self, gradients: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Update the averages and combine gradients that were taken one by one.

        Args:
            gradients: Gradient of each loss with respect to the generator's output (B, ...).

        Returns:
            tuple: The balanced gradient, and statistics by name: ``norm_LOSS``, the norm before balancing,
            ``share_LOSS``, its part of the sum of norms after balancing, and ``skipped``, how many were left out.

        Raises:
            ConfigError: If a loss has no weight.
        """
        for name in gradients:
            if name not in self.weights:
                raise ConfigError(f"loss '{name}' has no weight in the balancer: {nearest(name, self.weights)}")
        norms = self._norms(gradients)
        finite = torch.isfinite(norms)
        index, weights = self._chosen(tuple(gradients), norms.device)
        with torch.no_grad():
            self.step += 1
            total, fix = self.total[index], self.fix[index]
            total = torch.where(finite, self.decay * total + norms, total)
            fix = torch.where(finite, self.decay * fix + 1, fix)
            self.total[index], self.fix[index] = total, fix
            # A loss that was never finite has fix 0: it stays out, its average is irrelevant.
            average = total / fix.clamp(min=1e-12)
            factors = weights / weights.sum() * self.total_norm / (self.epsilon + average)
            if norms.device.type == "cpu" and not finite.all():
                self._warn([name for name, good in zip(gradients, finite.tolist(), strict=True) if not good])
            # Taken out without asking whether there is any: the answer would be waited for in every step.
            balanced = sum(
                torch.where(good, factor.to(gradient.dtype) * gradient, 0.0)
                for factor, gradient, good in zip(factors, gradients.values(), finite, strict=True)
            )
            parts = torch.where(finite, factors * norms, torch.zeros_like(norms))
            parts = parts / parts.sum().clamp(min=self.epsilon)
        stats = {f"norm_{name}": norm for name, norm in zip(gradients, norms, strict=True)}
        stats |= {f"share_{name}": part for name, part in zip(gradients, parts, strict=True)}
        return balanced, stats | {"skipped": (~finite).sum().float()}

    def _chosen(self, names: tuple[str, ...], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the places of losses in the buffers, and their weights; copied to a device once."""
        if (names, device) not in self._places:
            known = list(self.weights)
            self._places[names, device] = (
                torch.tensor([known.index(name) for name in names], device=device),
                torch.tensor([self.weights[name] for name in names], dtype=torch.double, device=device),
            )
        index, weights = self._places[names, device]
        return index, weights.to(self.total.dtype)

    def _norms(self, gradients: Mapping[str, Tensor]) -> Tensor:
        """Return each gradient's mean norm per item (N,), over the items of all workers."""
        norms = torch.stack([gradient.detach().flatten(1).norm(dim=1).mean() for gradient in gradients.values()]).to(
            self.total.dtype
        )
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            # A worker's losses are means over its own items: the gradient of the mean over all items is smaller.
            items = next(iter(gradients.values())).shape[0]
            weighted = torch.cat([norms * items**2, norms.new_full((1,), items)])
            torch.distributed.all_reduce(weighted)
            norms = weighted[:-1] / weighted[-1] ** 2
        return norms

    def _warn(self, names: list[str]) -> None:
        logger.warning(
            "balancer, step %d: the gradient of %s is not finite and is left out", int(self.step), ", ".join(names)
        )
