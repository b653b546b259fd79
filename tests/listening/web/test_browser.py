"""Whole sessions in headless Chromium, by keyboard, with sound."""

import json

import httpx
import numpy as np
import pytest
import soundfile
from listening_bench import RATE, Made, Server
from page_robot import check_switches
from rater_robot import Robot
from selenium.webdriver.common.keys import Keys

from evagan_plugin.listening.create import create_test
from evagan_plugin.listening.design.options import ListeningOptions
from evagan_plugin.listening.results.report import ReportOptions, analyse


def test_smos_session_by_keyboard(make_test, serve, browser):
    made = make_test(systems=("good",), count=2, seconds=1.1, items_per_rater=1, checks=1)
    server = serve(made)
    robot = Robot(browser(), "smos")
    robot.go_to_trials(f"{server.url}/#{made.tokens[0]}")
    sound_moves(robot)
    trials = robot.whole_session(lambda number: str(5 - number % 3))
    code = robot.text("#completion-code")
    with made.store as store:
        votes, [rater, *_] = store.votes(), store.raters()
        report = analyse(made.design, store, ReportOptions(screening=None))
    assert trials == 7  # Three of practice, three systems of one item, one check.
    assert [vote.score for vote in votes] == [5, 4, 3, 5, 4, 3, 5]
    assert [vote.plays for vote in votes] == [2, 1, 1, 1, 1, 1, 1]
    assert all(vote.reference_plays == 1 and vote.seconds > 2.2 for vote in votes)
    assert code == rater.code and rater.headphones in ("ok", "swapped")
    scored = {row.system: row.votes for row in report.systems}
    assert scored == {"good": 1, "reference": 1, "anchor_3500hz": 1}
    assert no_complaints(robot)


def test_smos_session_at_phone_width_in_japanese(make_test, serve, browser):
    made = make_test(
        systems=("good",), count=1, seconds=1.1, items_per_rater=1, checks=0, training_items=0, anchor=False,
        half_points=True,
    )  # fmt: skip
    server = serve(made)
    robot = Robot(browser(390, 844, dark=True, language="ja"), "phone", words="ja")
    robot.go_to_trials(f"{server.url}/#{made.tokens[0]}")
    assert robot.script("return document.documentElement.lang") == "ja"
    sound_moves(robot)
    assert robot.script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert robot.script("return getComputedStyle(document.body).backgroundColor") == "rgb(17, 20, 27)"
    assert robot.whole_session(lambda number: "4-" if number else "5") == 2
    with made.store as store:
        votes, [rater, *_] = store.votes(), store.raters()
    assert [vote.score for vote in votes] == [5, 3.5]
    assert rater.language == "ja"
    assert no_complaints(robot)


def test_mos_with_artifacts_an_outage_and_another_device(make_test, serve, browser):
    made = make_test(
        protocol="mos", systems=("good",), count=1, seconds=2.0, items_per_rater=1, checks=0, training_items=0
    )
    server = serve(made)
    link = f"{server.url}/#{made.tokens[0]}"
    robot = Robot(browser(), "mos")
    robot.go_to_trials(link)
    robot.wait(lambda: robot.find(".track:enabled"), "the sample to be decoded")
    robot.press("s")
    robot.wait(lambda: sample_place(robot) > 20, "the first third")
    robot.press("[")
    robot.wait(lambda: sample_place(robot) > 50, "the middle")
    robot.press("]", "l")
    robot.tab_to("buzz")
    robot.press(Keys.SPACE)
    robot.picture("artifacts")
    robot.wait(lambda: robot.trial_state() == "trial.rate", "the end of the sample")
    robot.press("2")
    server.kill()
    robot.press(Keys.ENTER)
    robot.wait(lambda: "No connection" in robot.text("#notice"), "the outage to be noticed")
    assert robot.find(".trial") and robot.count() == "0 of 3", "moved on before the vote was stored"
    kept = json.loads(robot.script("return Object.values(localStorage)[0]"))
    assert [vote["scores"] for vote in kept] == [{"A": 2}]
    serve(made, server.port)
    robot.wait(lambda: robot.count() == "1 of 3", "the kept vote to be sent by itself")
    assert robot.script("return Object.values(localStorage)") == ["[]"]
    robot.press("p")
    robot.wait(lambda: robot.heading() == "Pause", "the pause")
    assert robot.script("return document.querySelector('input.link').value") == link
    other = Robot(browser(), "mos-elsewhere")
    other.go_on(link)
    assert other.whole_session(lambda number: "4") == 2
    with made.store as store:
        votes = store.votes()
        [buzzes] = [row for row in analyse(made.design, store).artifacts if row.votes_with_artifacts]
    assert [vote.score for vote in votes] == [2, 4, 4]
    assert votes[0].labels == ["buzz"] and buzzes.labels["buzz"] == 1
    [mark] = votes[0].marks
    assert 0.3 < mark.start < mark.end < 1.9


def test_ab_switches_at_the_same_position_without_a_gap(tmp_path, serve, browser, made_of):
    seconds = 3.0
    clock = np.arange(int(seconds * RATE)) / RATE
    chirp = np.sin(2 * np.pi * (200 * clock + 100 * clock**2))
    made = made_of({"reference": chirp * 0.3, "loud": chirp * 0.3, "soft": chirp * 0.1}, protocol="ab")
    server = serve(made)
    robot = Robot(browser(), "ab")
    robot.go_on(begun(server, made))
    robot.wait(lambda: robot.find(".track:enabled"), "the samples to be decoded")
    robot.forget_sound()
    robot.press(Keys.SPACE)
    for letter, place in (("b", 30), ("a", 60)):
        robot.wait(lambda place=place: sample_place(robot) > place, "the moment to switch")
        robot.press(letter)
        assert robot.find(f".track[data-slot={letter.upper()}].sounding")
    robot.wait(lambda: not robot.find(".sounding"), "the end")
    check_switches(robot.sound(), chirp, RATE)
    assert robot.script("return document.querySelector('fieldset').disabled"), "B was not heard for its whole length"
    for letter in "ba":
        robot.press(letter)
        robot.wait(lambda: robot.find(".sounding"), "the sample to sound")
        robot.wait(lambda: not robot.find(".sounding"), "the sample to end")
    robot.wait(lambda: robot.trial_state() == "trial.rate", "both to be heard")
    robot.press("3")
    robot.picture("trial")
    robot.press(Keys.ENTER)
    robot.wait(lambda: robot.next_page() == "done", "the vote to be stored")
    with made.store as store:
        assert [(vote.slot, vote.score) for vote in store.votes()] == [("A", 0), ("B", 1)]


def test_mushra_by_keyboard(make_test, serve, browser):
    made = make_test(
        protocol="mushra", systems=("good",), count=1, seconds=2.0, items_per_rater=1, checks=0, training_items=0
    )
    server = serve(made)
    robot = Robot(browser(dark=True), "mushra")
    robot.go_on(begun(server, made))
    robot.wait(lambda: robot.find(".track:enabled"), "the samples to be decoded")
    robot.press("r")
    for letter in "rabc":
        robot.press(letter)
        if not robot.find(".sounding"):
            robot.press(Keys.SPACE)
        track = f".track.heard[data-slot={letter.upper() if letter != 'r' else 'reference'}]"
        robot.wait(lambda track=track: robot.find(track) or not robot.find(".sounding"), "a part to be heard")
        if not robot.find(track):
            robot.press(Keys.SPACE)
            robot.wait(lambda track=track: robot.find(track), "the rest of the part to be heard")
    robot.press(Keys.PAGE_UP)
    assert not robot.find("button.primary:enabled"), "can go on with samples that have no score"
    robot.press("a", Keys.ARROW_DOWN, "b", Keys.PAGE_DOWN)
    robot.wait(lambda: robot.find("button.primary:enabled"), "all scores")
    robot.picture("trial")
    robot.press(Keys.ENTER)
    robot.wait(lambda: robot.next_page() == "done", "the votes to be stored")
    with made.store as store:
        assert {vote.slot: vote.score for vote in store.votes()} == {"A": 49, "B": 40, "C": 60}
    assert no_complaints(robot)


@pytest.fixture
def made_of(tmp_path):
    """Make a test of one item whose samples are given, levels left alone."""

    def make(wavs: dict[str, np.ndarray], **options: object) -> Made:
        for name, wav in wavs.items():
            (tmp_path / name).mkdir()
            soundfile.write(tmp_path / name / "one.wav", wav, RATE)
        systems = {name: tmp_path / name for name in wavs if name != "reference"}
        plain = {"align_loudness": False, "checks": 0, "training_items": 0, "raters": 1, "anchor": False}
        create_test(tmp_path / "test", tmp_path / "reference", systems, ListeningOptions(**(plain | options)))
        return Made(tmp_path / "test")

    return make


def begun(server: Server, made: Made) -> str:
    """Take the first rater past consent, volume and instructions; return their link."""
    headers = {"Authorization": f"Bearer {made.tokens[0]}"}
    httpx.post(f"{server.url}/api/start", json={"language": "en"}, headers=headers).raise_for_status()
    return f"{server.url}/#{made.tokens[0]}"


def sample_place(robot: Robot) -> float:
    """Position in the sample (per cent)."""
    return robot.script(
        "return Number(document.querySelector('.track[data-slot=A] .meter')?.getAttribute('aria-valuenow'))"
    )


def sound_moves(robot: Robot) -> None:
    """Play the sample alone; its clock, its position and its level move, and no score is taken yet."""
    robot.wait(lambda: robot.find(".track:enabled"), "the samples to be decoded")
    robot.forget_sound()
    robot.press("s")
    robot.wait(lambda: robot.find(".track.sounding[data-slot=A]"), "the sample to sound")
    clock = "return Math.max(...[...heard.contexts].map((context) => context.currentTime))"
    time_before, place_before = robot.script(clock), sample_place(robot)
    robot.wait(lambda: robot.script(clock) > time_before + 0.2, "the clock of the sound to move")
    robot.wait(lambda: sample_place(robot) > place_before + 10, "the position to move")
    robot.press("4")
    assert not robot.find("input[name=score]:checked"), "a score before the end was heard"
    robot.wait(lambda: not robot.find(".track.sounding"), "the sample to end")
    assert np.abs(robot.sound()).max() > 0.01, "no sound"
    assert robot.script("return document.querySelector('fieldset').disabled"), "a score before the reference was heard"


def no_complaints(robot: Robot) -> bool:
    """No error in the console, and nothing asked of another host."""
    urls = robot.requests()
    foreign = [url for url in urls if not url.startswith("http://127.0.0.1:")]
    assert (robot.errors(), foreign) == ([], [])
    return len(urls) > 10
