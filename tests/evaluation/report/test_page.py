"""The report in headless Chromium: opened from the disk, used by keyboard alone, listened to."""

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from page_robot import PageRobot, check_switches
from selenium.webdriver.common.keys import Keys

from evagan_plugin.evaluation.report.compare import CompareOptions, compare_systems
from evagan_plugin.evaluation.report.write import write_comparison

RATE = 16000
SECONDS = 3.0
STATE = """
const section = document.querySelector(".utterance.current");
if (!section) return null;
const chosen = section.querySelector("input[type=radio]:checked");
const shown = [...section.querySelectorAll("figure")].filter((figure) => !figure.hidden);
return {
  utterance: section.querySelector("h3").textContent.trim().split(/\\s+/)[1],
  audible: chosen.closest("label").querySelector("span").firstChild.textContent.trim(),
  pictures: shown.map((figure) => figure.querySelector("img").alt),
  place: Number(section.querySelector(".position").value),
  words: section.querySelector(".position").getAttribute("aria-valuetext"),
  button: section.querySelector(".play .label").textContent,
  said: document.getElementById("notice").textContent,
};
"""


def chirp() -> np.ndarray:
    clock = np.arange(int(SECONDS * RATE)) / RATE
    return np.sin(2 * np.pi * (200 * clock + 100 * clock**2))


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report on two utterances: the systems are the reference softer, and with noise; one lacks an utterance."""
    noise = 0.05 * np.random.default_rng(0).standard_normal(int(SECONDS * RATE))
    made = {
        "reference": {"easy": 0.3 * chirp(), "hard": 0.3 * chirp()},
        "soft": {"easy": 0.25 * chirp(), "hard": 0.1 * chirp()},
        "noisy": {"hard": 0.3 * chirp() + noise},
    }
    for name, waves in made.items():
        (tmp_path / name).mkdir()
        for utt_id, wav in waves.items():
            soundfile.write(tmp_path / name / f"{utt_id}.wav", wav, RATE)
    manifest = tmp_path / "manifest.tsv"
    manifest.write_text("utt_id\tcategory\neasy\tmusic\nhard\tsfx\n")
    systems = {name: tmp_path / name for name in ("soft", "noisy")}
    options = CompareOptions(metrics="log_mel_l1", manifest=manifest)
    comparison = compare_systems(tmp_path / "reference", systems, tmp_path / "out", options)
    write_comparison(comparison, tmp_path / "out")
    return tmp_path / "out" / "report.html"


@pytest.fixture
def robot(report, browser) -> PageRobot:
    robot = PageRobot(browser(1200, 1000), "report")
    robot.driver.get(report.as_uri())
    return robot


def state(robot: PageRobot) -> dict:
    return robot.script(STATE)


def test_systems_switch_at_once_and_at_the_same_position(robot):
    robot.press("n")
    assert state(robot)["utterance"] == "hard", "the worst stands first"
    robot.press(Keys.SPACE)
    for key, name, place in (("2", "soft", 0.8), (Keys.ARROW_LEFT, "reference", 1.8)):
        robot.wait(lambda place=place: state(robot)["place"] > place, "the moment to switch")
        robot.press(key)
        found = state(robot)
        assert found["audible"] == name
        assert found["said"].startswith(name)
        assert found["place"] >= place, "the position jumped"
    robot.wait(lambda: state(robot)["button"] == "Play", "the end")
    assert state(robot)["place"] == 0
    check_switches(robot.sound(), chirp(), RATE)


def test_pause_keeps_the_place_and_a_seek_moves_it(robot):
    robot.press("n", Keys.SPACE)
    robot.wait(lambda: state(robot)["place"] > 0.3, "the sound to begin")
    robot.press(Keys.SPACE)
    paused = state(robot)
    assert paused["button"] == "Play"
    time.sleep(0.3)
    assert state(robot)["place"] == paused["place"]
    robot.tab_to("PlaySpace")
    robot.press(Keys.TAB, Keys.END)
    assert state(robot)["words"] == "3.0 s of 3.0 s"
    robot.press(*[Keys.PAGE_DOWN] * 5)
    sought = state(robot)["place"]
    assert sought < 2.0
    robot.press(Keys.SPACE)
    robot.wait(lambda: state(robot)["place"] > sought + 0.1, "the sound to go on from there")
    assert state(robot)["button"] == "Pause"


def test_another_utterance_stops_the_first_and_a_missing_system_is_passed_over(robot):
    robot.press("n", Keys.SPACE)
    robot.wait(lambda: state(robot)["place"] > 0.2, "the sound to begin")
    robot.press("n")
    found = state(robot)
    assert (found["utterance"], found["button"], found["place"]) == ("easy", "Play", 0)
    assert robot.script("return document.querySelectorAll('.sounding').length") == 0
    robot.press("3")
    assert state(robot)["audible"] == "reference", "noisy has no audio of this utterance"
    robot.press(Keys.ARROW_LEFT)
    assert state(robot)["audible"] == "soft"
    robot.press("p", "3")
    found = state(robot)
    assert (found["utterance"], found["audible"]) == ("hard", "noisy")


def test_the_picture_follows_the_audible_system(robot):
    robot.press("n")
    for key, name in (("2", "soft"), ("3", "noisy"), ("1", "noisy")):
        robot.press(key)
        [words] = state(robot)["pictures"]
        assert words.startswith(f"Mel spectrograms of hard, 0 to 8 kHz: reference, {name}, and their difference")
    sizes = robot.script("return [...document.images].filter((i) => i.offsetParent).map((i) => i.naturalWidth)")
    assert len(sizes) == 3, "one chart and one picture per utterance"
    assert min(sizes) > 200


def test_the_page_is_used_and_shown_by_the_tab_key(robot):
    reached = []
    for _ in range(12):
        robot.press(Keys.TAB)
        reached.append(
            robot.script(
                "const e = document.activeElement, box = e.closest('label') ?? e;"
                "return [e.tagName + (e.type ? '.' + e.type : ''), getComputedStyle(box).outlineStyle]"
            )
        )
    kinds = [kind for kind, _ in reached]
    for wanted in ("SUMMARY", "BUTTON.button", "INPUT.range", "INPUT.radio"):
        assert wanted in kinds
    assert {outline for kind, outline in reached if kind != "BODY"} == {"solid"}, "the focus is not shown"
    robot.script("document.activeElement.blur()")
    while robot.script("return document.activeElement.type") != "radio":
        robot.press(Keys.TAB)
    robot.press(Keys.ARROW_DOWN)
    assert state(robot)["audible"] == "soft"
    robot.press(Keys.SPACE)
    robot.wait(lambda: state(robot)["place"] > 0.1, "the sound to begin")


def test_a_table_keeps_the_keys_that_scroll_it(robot):
    robot.script(
        "const table = document.querySelector('.scroll');"
        "table.style.width = table.style.height = '60px'; table.style.overflow = 'auto'; table.focus();"
    )
    robot.press(Keys.ARROW_RIGHT)
    robot.wait(lambda: robot.script("return document.querySelector('.scroll').scrollLeft > 0"), "a scroll aside")
    robot.press(Keys.SPACE)
    robot.wait(lambda: robot.script("return document.querySelector('.scroll').scrollTop > 0"), "a scroll down")
    assert state(robot) is None, "an utterance took the key"
    robot.press("1")
    assert state(robot)["audible"] == "reference", "digits stay with the utterances"


def test_letters_work_in_capitals(robot):
    robot.press("N")
    assert state(robot)["utterance"] == "hard"
    robot.press("N", "P", "N")
    assert state(robot)["utterance"] == "easy"


def test_names_and_roles_are_told_to_a_screen_reader(robot):
    nodes = robot.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    found = {
        (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")
    }
    roles = {role for role, _ in found}
    assert {"main", "table", "columnheader", "rowheader", "radio", "slider", "status"} <= roles
    assert ("slider", "Position in hard") in found
    assert ("button", "Play") in found
    assert ("group", "Audible") in found
    assert not [node for node in found if node[0] in ("radio", "slider", "button", "image", "region") and not node[1]]


def test_nothing_outside_the_file_is_asked_for(robot, report):
    robot.press("n", Keys.SPACE)
    robot.wait(lambda: state(robot)["place"] > 0.2, "the sound to begin")
    assert robot.requests() == [report.as_uri()]
    assert robot.errors() == []
    assert "http" not in report.read_text().replace('http-equiv="Content-Security-Policy"', "")


def test_it_fits_a_phone(report, browser):
    robot = PageRobot(browser(390, 844, dark=True), "report-phone")
    robot.driver.get(report.as_uri())
    robot.press("n")
    robot.picture("worst")
    assert robot.script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert robot.script("return getComputedStyle(document.body).backgroundColor") == "rgb(17, 20, 27)"
    assert robot.errors() == []
