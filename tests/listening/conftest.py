"""Listening tests made of synthetic audio, servers as processes of their own, and a real browser."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from listening_bench import RATE, Made, Server, tone

from evagan_plugin.listening.create import create_test
from evagan_plugin.listening.options import TestOptions


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[..., dict[str, Path]]:
    """Make folders ``reference`` and one a system, holding ``count`` utterances ``utt00``, ``utt01``, ..."""

    def make(systems: tuple[str, ...] = ("good", "bad"), count: int = 4, seconds: float = 1.2) -> dict[str, Path]:
        folders = {name: tmp_path / "corpus" / name for name in ("reference", *systems)}
        noise = np.random.default_rng(99)
        for place, (_, folder) in enumerate(folders.items()):
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                wav = tone(seconds, number)
                wav = 0.6**place * (wav + 0.01 * place * noise.standard_normal(len(wav)).astype(np.float32))
                soundfile.write(folder / f"utt{number:02d}.wav", wav, RATE)
        return folders

    return make


@pytest.fixture
def make_test(corpus, tmp_path: Path) -> Callable[..., Made]:
    """Make a listening test of a synthetic corpus; options are those of ``TestOptions``."""

    def make(
        systems: tuple[str, ...] = ("good", "bad"),
        count: int = 4,
        seconds: float = 1.2,
        database: str | None = None,
        **options: object,
    ) -> Made:
        folders = corpus(systems, count, seconds)
        out = tmp_path / "test"
        create_test(
            out,
            folders["reference"],
            {name: folders[name] for name in systems},
            TestOptions(**({"raters": 3} | options)),
            database,
        )
        return Made(out, database)

    return make


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers; they end with the test."""
    started: list[Server] = []

    def start(made: Made, port: int | None = None) -> Server:
        started.append(Server(made, port))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def find_program(*names: str) -> str | None:
    return next((found for name in names if (found := shutil.which(name))), None)


LISTEN_IN = """
// Every sound on its way to the loudspeaker is written down: the test then knows what was heard.
const connect = AudioNode.prototype.connect;
window.heard = { peak: 0, contexts: new Set(), blocks: [] };
function recorderOf(context) {
  if (!context.recorder) {
    context.recorder = context.createScriptProcessor(8192, 1, 1);
    context.recorder.onaudioprocess = ({ inputBuffer }) => {
      const block = Float32Array.from(inputBuffer.getChannelData(0));
      window.heard.blocks.push(...block);
      window.heard.peak = Math.max(window.heard.peak, ...block.map(Math.abs));
    };
    window.heard.contexts.add(context);
    connect.call(context.recorder, context.destination);
  }
  return context.recorder;
}
AudioNode.prototype.connect = function (target, ...rest) {
  if (target === this.context.destination && !(this.context instanceof OfflineAudioContext)) {
    connect.call(this, recorderOf(this.context));
  }
  return connect.call(this, target, ...rest);
};
"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Callable[..., object]]:
    """Open headless Chromium of a given size; skip where there is none."""
    program = os.environ.get("EVAGAN_TEST_CHROMIUM") or find_program("chromium", "chromium-browser", "google-chrome")
    driver_program = find_program("chromedriver")
    if not program or not driver_program:
        pytest.skip("no Chromium with chromedriver: install both (Debian: apt install chromium chromium-driver)")
    from selenium import webdriver

    opened = []

    def open_browser(width: int = 1100, height: int = 900, dark: bool = False, language: str = "en") -> object:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        profile = tmp_path / f"chromium{len(opened)}"
        arguments = (
            "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
            f"--disable-component-update --disable-sync --user-data-dir={profile} --lang={language}"
        )
        for argument in arguments.split():
            options.add_argument(argument)
        options.add_experimental_option("prefs", {"intl.accept_languages": language})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_program))
        opened.append(driver)
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LISTEN_IN})
        return driver

    yield open_browser
    for driver in opened:
        driver.quit()
