"""Somebody at the keyboard: goes through a session in a real browser, as a rater would."""

import json
import time
from collections.abc import Callable
from importlib.resources import files

from page_robot import PageRobot
from selenium.webdriver.common.keys import Keys


class Robot(PageRobot):
    """Knows the pages of a listening test."""

    def __init__(self, driver, name: str, words: str = "en") -> None:
        super().__init__(driver, name)
        pages = files("evagan_plugin.listening.web") / "pages"
        self.words = json.loads((pages / f"texts.{words}.json").read_text(encoding="utf-8"))

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
