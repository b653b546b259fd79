"""Signals that are taken note of."""

import os
import signal
import subprocess
import sys
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


def test_one_that_comes_later_ends_the_process_as_ever(monkeypatch, request):
    monkeypatch.setattr(stop, "REPEATED", -1.0)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job has not
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
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


TRAINING = """
import os, sys, time
import torch
from torch.utils.data import DataLoader
from evagan_plugin.utils.stop import Stop, keep_workers

class Slow(torch.utils.data.Dataset):
    def __len__(self):
        return 40
    def __getitem__(self, index):
        time.sleep(0.05)
        return index

with Stop.scope():
    Stop.listen()
    loader = DataLoader(Slow(), batch_size=2, num_workers=2)
    keep_workers(loader)
    seen = []
    for batch in loader:
        seen += batch.tolist()
        print("step", flush=True)
print(Stop.asked, seen == list(range(40)), flush=True)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_loading_workers_live_through_a_signal_to_all_processes_and_end_with_theirs(number):
    training = subprocess.Popen(
        [sys.executable, "-c", TRAINING], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert training.stdout.readline() == "step\n"
    os.killpg(training.pid, number)
    lines = training.communicate(timeout=120)[0].splitlines()
    assert training.returncode == 0
    assert lines[-1] == f"{int(number)} True"
    with pytest.raises(ProcessLookupError):
        os.killpg(training.pid, 0)
