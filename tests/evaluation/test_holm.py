"""Statistics that scores and listening tests share."""

import numpy as np
import pytest

from evagan_plugin.evaluation.holm import holm


def test_holm_on_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_does_not_count_what_is_not_defined():
    corrected = holm([0.5, float("nan"), 0.01])
    assert corrected[0] == 0.5 and np.isnan(corrected[1]) and corrected[2] == 0.02
