"""Somebody at the keyboard of any page, and what was heard and asked for meanwhile."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_SECONDS = 20


class PageRobot:
    """Presses keys and reads the page; never clicks, never calls the page's own code."""

    def __init__(self, driver, name: str) -> None:
        self.driver = driver
        self.name = name

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def wait(self, condition: Callable[[], object], what: str) -> object:
        def met(_: object) -> object:
            return condition()

        notice = self.text("#notice")
        return WebDriverWait(self.driver, PATIENCE_SECONDS, 0.05).until(met, f"waited for {what}; notice: {notice}")

    def find(self, selector: str) -> list:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.driver.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def script(self, code: str) -> object:
        return self.driver.execute_script(code)

    def forget_sound(self) -> None:
        """Leave what was heard so far out of :meth:`sound`."""
        self.script("heard.forget()")

    def sound(self) -> np.ndarray:
        """What went to the loudspeaker, of the last seconds at most: samples ``(T,)`` at the rate of the page."""
        return np.array(self.driver.execute_async_script("heard.samples().then(arguments[0])"))

    def focused(self) -> list[str]:
        """Id, text and value of the control that has the focus; empty while it is on no control."""
        return self.script(
            "const e = document.activeElement;"
            "return e.matches('button, input, select') ? [e.id, e.textContent, e.value] : []"
        )

    def tab_to(self, words: str) -> None:
        """Move the focus by the Tab key to the control with this text, id or value."""
        for _ in range(40):
            if words in self.focused():
                return
            self.press(Keys.TAB)
        raise AssertionError(f"the Tab key does not reach '{words}'")

    def picture(self, page: str) -> None:
        """Keep a picture of the page if EVAGAN_TEST_PICTURES names a folder for them."""
        if folder := os.environ.get("EVAGAN_TEST_PICTURES"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(folder) / f"{self.name}-{page}.png"))

    def errors(self) -> list:
        """Errors in the console; a blocked resource would be one."""
        return [line for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        """What was asked for from the network or a disk; the browser's own pages, such as a new tab, are left out."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith(("data:", "blob:", "chrome://", "chrome-untrusted://"))]


def check_switches(recorded: np.ndarray, chirp: np.ndarray, rate: int) -> None:
    """The recording is the chirp from its beginning to its end, at the level of one sample or the other."""
    begin = int(np.argmax(np.correlate(recorded, chirp[:rate], mode="valid")))
    heard = recorded[begin : begin + len(chirp)]
    # Over 10 ms, longer than a switch takes, the chirp itself tells its level; what is not the chirp is left over.
    piece = rate // 100
    frames = len(chirp) // piece
    pieces, model = heard[: frames * piece].reshape(frames, piece), chirp[: frames * piece].reshape(frames, piece)
    levels = (pieces * model).sum(axis=1) / np.square(model).sum(axis=1)
    rest = np.sqrt(np.square(pieces - levels[:, None] * model).mean(axis=1))
    settled = np.where(levels > 0.2, 0.3, 0.1)
    assert np.mean(np.abs(levels - settled) < 0.005) > 0.97, "there is a gap"
    assert np.mean(rest < 0.02 * settled) > 0.97, "the position jumped"
    assert np.count_nonzero(np.diff(settled)) == 2
