"""Signals that are taken note of."""

import signal
import threading

import pytest

from evagan_plugin.utils import stop
from evagan_plugin.utils.stop import SIGNALS, Stop


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_its_repetition_at_once_says_the_same(number):
    before = [signal.getsignal(one) for one in SIGNALS]
    with Stop.scope():
        Stop.listen()
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGINT)
        assert Stop.asked == number
    assert [signal.getsignal(one) for one in SIGNALS] == before
    Stop.asked = None


def test_one_that_comes_later_ends_the_process_as_ever(monkeypatch):
    monkeypatch.setattr(stop, "REPEATED", -1.0)
    with pytest.raises(KeyboardInterrupt), Stop.scope():
        Stop.listen()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    Stop.asked = None


def test_in_another_thread_nothing_changes():
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=Stop.listen)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before and Stop.former is None
