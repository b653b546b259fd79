"""Somebody at the keyboard: goes through a session in a real browser, as a rater would."""

import json
import os
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_SECONDS = 20


class Robot:
    """Presses keys and reads the page; never clicks, never calls the page's own code."""

    def __init__(self, driver, name: str, words: str = "en") -> None:
        self.driver = driver
        self.name = name
        pages = files("evagan_plugin.listening") / "pages"
        self.words = json.loads((pages / f"texts.{words}.json").read_text(encoding="utf-8"))

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

    def heading(self) -> str:
        return self.text("#stage h1")

    def go_to_trials(self, link: str) -> None:
        """Consent, volume and instructions, by Tab, Space and Enter."""
        self.driver.get(link)
        self.wait(lambda: self.find("#agree"), "the welcome page")
        self.picture("welcome")
        self.tab_to("agree")
        self.press(Keys.SPACE)
        self.tab_to(self.words["welcome.go"])
        self.press(Keys.ENTER)
        self.wait(lambda: self.heading() == self.words["volume.title"], "the volume page")
        self.tab_to(self.words["volume.play"])
        self.press(Keys.ENTER)
        self.wait(lambda: self.find("button.primary:enabled"), "the recording to start")
        self.tab_to(self.words["volume.tone"])
        self.press(Keys.ENTER)
        self.wait(lambda: len(self.find("button:disabled")) == 0, "the tone to start")
        self.tab_to(self.words["volume.heard.left"])
        self.press(Keys.ENTER)
        self.picture("volume")
        self.tab_to(self.words["volume.go"])
        self.press(Keys.ENTER)
        self.wait(lambda: self.heading() == self.words["instructions.title"], "the instructions")
        self.picture("instructions")
        self.tab_to(self.words["instructions.go"])
        self.press(Keys.ENTER)
        self.wait(self.next_page, "the first trial")

    def go_on(self, link: str) -> None:
        """Come back to a session that has begun."""
        self.driver.get(link)
        self.wait(lambda: self.heading() == self.words["resume.title"], "the session to be found again")
        self.tab_to(self.words["resume.go"])
        self.press(Keys.ENTER)
        self.wait(self.next_page, "the next trial")

    def next_page(self) -> str:
        if self.find("#completion-code"):
            return "done"
        if self.find(".trial"):
            return "trial"
        return "practice" if self.heading() == self.words["practice.over"] else ""

    def count(self) -> str:
        return self.text("#bar-count")

    def trial_state(self) -> str:
        return self.script("return document.getElementById('hint')?.dataset.key ?? ''")

    def listen(self) -> None:
        """Play everything to the end by the space bar."""
        self.wait(lambda: self.find(".trial .track:enabled"), "the samples to be decoded")
        self.press(Keys.SPACE)
        self.wait(lambda: self.trial_state() == "trial.rate", "the samples to be heard")

    def one_trial(self, keys: str) -> None:
        """Listen, score, and wait until the page has moved on."""
        before = self.count()
        self.listen()
        self.press(*keys)
        self.wait(lambda: self.trial_state() == "trial.ready", "the score to be taken")
        self.picture("trial")
        self.press(Keys.ENTER)
        self.wait(lambda: self.count() != before or self.next_page() != "trial", "the vote to be stored")

    def whole_session(self, score: Callable[[int], str]) -> int:
        """Go through all trials; return their number."""
        trials = 0
        while (page := self.wait(self.next_page, "the next page")) != "done":
            if page == "practice":
                self.tab_to(self.words["resume.go"])
                self.press(Keys.ENTER)
                self.wait(lambda: self.next_page() == "trial", "the first trial that counts")
                continue
            self.one_trial(score(trials))
            trials += 1
        time.sleep(0.05)
        self.picture("done")
        return trials
