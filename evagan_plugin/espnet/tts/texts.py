"""Texts that an acoustic model knows nothing of: its ``<unk>`` can be spoken, but says nothing."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from evagan_plugin.errors import READABLE_CHOICES, UsageError

logger = logging.getLogger(__name__)

UNKNOWN = "<unk>"
SILENT = (UNKNOWN, "<blank>", "<space>", "<sos/eos>")
"""Tokens of ESPnet that stand for no sound."""


def refuse_unknown_texts(model: nn.Module, token_list: Sequence[str]) -> None:
    """Let an acoustic model of ESPnet refuse texts without a token that it knows, before it makes features of them.

    Args:
        model: An ``ESPnetTTSModel``; its inference then raises :class:`UsageError` for such a text.
        token_list: The model's tokens; a text is made of positions in it.
    """
    model.inference = functools.partial(_infer_known_texts, model.inference, token_list)
    model.batch_inference = functools.partial(_infer_known_texts, model.batch_inference, token_list)


def _infer_known_texts(
    infer: Callable, token_list: Sequence[str], text: Tensor | list[Tensor], *args: Any, **kwargs: Any
) -> dict[str, Any]:
    for tokens in text if isinstance(text, list) else [text]:
        _check([token_list[token] for token in tokens.tolist()], token_list)
    return infer(text, *args, **kwargs)


def _check(tokens: list[str], token_list: Sequence[str]) -> None:
    unknown = tokens.count(UNKNOWN)
    if not set(tokens) - set(SILENT):
        known = [token for token in token_list if token not in SILENT]
        more = " ..." if len(known) > READABLE_CHOICES else ""
        raise UsageError(
            f"a text has no token that the acoustic model knows ({unknown} unknown): write it with "
            f"{' '.join(known[:READABLE_CHOICES])}{more}"
        )
    if unknown:
        logger.warning(f"{unknown} of {len(tokens)} tokens of a text are unknown to the acoustic model")
