"""Fixtures that every test folder shares."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before torch is imported, here and in every command that a test starts: the models are too small for threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_audio() -> Path:
    """Folder with ``fullband/`` and ``lowrate/`` (manifest.tsv in each): real audio that is not in the repository."""
    folder = Path(os.environ.get("EVAGAN_TEST_AUDIO", REPOSITORY.parent / "shared" / "audio"))
    if not (folder / "lowrate" / "manifest.tsv").is_file():
        pytest.skip(f"no real audio at {folder}: set EVAGAN_TEST_AUDIO to a folder that has lowrate/manifest.tsv")
    return folder


@pytest.fixture
def evagan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    """Return the command as a function: ``evagan("score", ...)`` gives exit status, standard output and error."""
    from evagan_plugin.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["evagan", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


def find_program(*names: str) -> str | None:
    return next((found for name in names if (found := shutil.which(name))), None)


LISTEN_IN = """
// What goes to the loudspeaker also goes through memories that hold its last seconds: tests then know what was heard.
// The thread that makes the sound fills them, so that nothing is missing where the page itself had no time.
const connect = AudioNode.prototype.connect;
const MEMORIES = 5, FRAMES = 32768;
window.heard = {
  contexts: new Set(), from: 0,
  /** Leave out what was heard so far. */
  forget() {
    heard.from = Math.max(0, ...[...heard.contexts].map((context) => context.currentTime));
  },
  /** Samples since forget(), of the last seconds at most. The sound stands still meanwhile, so that parts fit. */
  async samples() {
    const [context] = heard.contexts;
    await context.suspend();
    const parts = context.memories.map((memory) => {
      const frames = new Float32Array(FRAMES);
      memory.getFloatTimeDomainData(frames);
      return Array.from(frames.subarray(-context.memorySeconds * context.sampleRate));
    });
    const frames = Math.round((context.currentTime - heard.from) * context.sampleRate);
    await context.resume();
    return frames ? parts.flat().slice(-frames) : [];
  },
};
function memoriesOf(context) {
  if (!context.memories) {
    context.tap = new GainNode(context);
    context.memories = [];
    // Halves of a second are whole numbers of frames at any rate.
    context.memorySeconds = Math.floor((2 * FRAMES) / context.sampleRate) / 2;
    let source = context.tap;
    for (let number = 0; number < MEMORIES; number += 1) {
      const memory = new AnalyserNode(context, { fftSize: FRAMES });
      const delay = new DelayNode(context, { delayTime: context.memorySeconds, maxDelayTime: context.memorySeconds });
      connect.call(source, memory);
      connect.call(source, delay);
      context.memories.unshift(memory);
      source = delay;
    }
    heard.contexts.add(context);
  }
  return context.tap;
}
AudioNode.prototype.connect = function (target, ...rest) {
  if (target === this.context.destination && !(this.context instanceof OfflineAudioContext)) {
    connect.call(this, memoriesOf(this.context));
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
