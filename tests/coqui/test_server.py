"""``tts-server`` with EVA-GAN as its vocoder, asked over the loopback interface."""

import io
import os
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile

# Coqui's program binds every interface: here its own main() is left out, and the same application binds one.
SERVER = "from TTS.server.server import app, args; app.run(host='127.0.0.1', port=args.port)"
SECONDS = 120


@pytest.fixture
def server(trained, acoustic, tmp_path):
    """Start the server; give its address and a function that asks until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--model_path", acoustic / "model.pth", "--config_path", acoustic / "config.json", "--port", port]
    options += ["--vocoder_path", trained / "best_model.pth", "--vocoder_config_path", trained / "config.json"]
    log = (tmp_path / "server.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER, *map(str, options)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=log,
        stderr=subprocess.STDOUT,
    )

    def ask(path: str) -> bytes:
        for _ in range(10 * SECONDS):
            try:
                with urlopen(f"http://127.0.0.1:{port}{path}", timeout=SECONDS) as answer:
                    return answer.read()
            except URLError:
                assert process.poll() is None, (tmp_path / "server.log").read_text()
                time.sleep(0.1)
        raise AssertionError("the server does not answer")

    yield ask
    process.terminate()
    process.wait()
    log.close()


def test_the_server_speaks(server):
    wav, sample_rate = soundfile.read(io.BytesIO(server("/api/tts?text=hello%20there.")))
    assert sample_rate == 16000
    assert (len(wav) - 10000) % 256 == 0 and len(wav) > 10000
    assert np.isfinite(wav).all() and np.abs(wav).max() > 0
