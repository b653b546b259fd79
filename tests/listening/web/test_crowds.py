"""Raters from a crowd-sourcing site, over HTTP and in the browser, with the test below a path of a proxy."""

import re

import httpx
import pytest
from fastapi.testclient import TestClient
from listening_bench import Made, free_port, proxied
from rater_robot import Robot

from evagan_plugin.listening.design.crowd import Crowd
from evagan_plugin.listening.design.tokens import links, read_tokens
from evagan_plugin.listening.votes.records import Participant
from evagan_plugin.listening.web.app import create_app

ANN = "?PROLIFIC_PID=5fann&STUDY_ID=61study&SESSION_ID=62visit"
BELOW = "/listening/test1"


@pytest.fixture
def make_crowd(make_test):
    """Make a test whose sessions are short; the fields are those of ``Crowd``."""

    def make(**fields: object) -> Made:
        plain = {"training_items": 0, "checks": 0, "anchor": False, "items_per_rater": 1, "raters": 1}
        return make_test(systems=("good",), count=1, seconds=1.1, **plain, crowd=Crowd(**fields))

    return make


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def join(client: httpx.Client, made: Made, query: str) -> httpx.Response:
    return client.post("/api/join", json={"query": query}, headers=bearer(read_tokens(made.folder)["join"]))


def rate_all(client: httpx.Client, token: str) -> dict:
    """Go through a session; return where it ends."""
    session = client.post("/api/start", json={"language": "en"}, headers=bearer(token)).json()
    while session["trials"]:
        assert session["completion_code"] is session["completion_url"] is None
        vote = {"trial": session["trials"][0]["id"], "scores": {"A": 3}, "plays": {"A": 1}, "seconds": 5}
        vote |= {"reference_plays": 1, "shown_at": 1, "answered_at": 6}
        session = client.post("/api/vote", json=vote, headers=bearer(token)).json()
    return session


def test_a_participant_is_kept_with_the_rater_and_sent_back_at_the_end(make_crowd):
    back = "https://app.prolific.com/submissions/complete?cc=C1A2B3"
    made = make_crowd(prolific=True, completion_url=back)
    with TestClient(create_app(made.folder)) as client:
        token = join(client, made, ANN).json()["token"]
        end = rate_all(client, token)
        assert (end["completion_url"], end["completion_code"]) == (back, "C1A2B3")
        again = join(client, made, ANN.replace("62visit", "63visit"))
        status = client.get("/api/admin/status", headers=bearer(made.admin)).json()
        exported = client.get("/api/admin/export", headers=bearer(made.admin)).text
    assert again.status_code == 409 and again.json()["reason"] == "again" and "\n" not in again.json()["detail"]
    with made.store as store:
        assert store.participants() == {2: Participant("5fann", "61study", "62visit")}
    assert status["by_rater"][0]["participant"] == "5fann"
    assert "5fann" not in exported, "the raw votes can be published as they are"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "no PROLIFIC_PID"),
        ("?STUDY_ID=61study", "no PROLIFIC_PID"),
        ("?PROLIFIC_PID=", "no PROLIFIC_PID"),
        ("?PROLIFIC_PID=ann&PROLIFIC_PID=bob", "has PROLIFIC_PID twice"),
        ("?PROLIFIC_PID=ann&SESSION_ID=a&SESSION_ID=b", "has SESSION_ID twice"),
        ("?PROLIFIC_PID={{%PROLIFIC_PID%}}", "PROLIFIC_PID is '{{%PROLIFIC_PID%}}': not an id"),
        ("?PROLIFIC_PID=" + "a" * 65, "not an id"),
    ],
)
def test_a_link_without_a_usable_id_is_refused_in_one_line(make_crowd, query, says):
    made = make_crowd(prolific=True)
    with TestClient(create_app(made.folder)) as client:
        answer = join(client, made, query)
    assert answer.status_code == 409 and answer.json()["reason"] == "participant"
    assert says in answer.json()["detail"] and "\n" not in answer.json()["detail"]
    assert len(made.tokens) == 1


def test_ids_are_kept_where_none_is_demanded(make_crowd):
    made = make_crowd()
    with TestClient(create_app(made.folder)) as client:
        tokens = [join(client, made, query).json()["token"] for query in (ANN, ANN, "", "?utm=x")]
    assert len(set(tokens)) == 3 and tokens[0] == tokens[1]


def test_a_full_test_says_so_where_one_joins_and_where_one_starts(make_crowd):
    made = make_crowd(max_raters=1)
    with TestClient(create_app(made.folder)) as client:
        assert join(client, made, ANN).status_code == 200
        for answer in (
            join(client, made, ""),
            client.post("/api/start", json={"language": "en"}, headers=bearer(made.tokens[0])),
        ):
            assert answer.status_code == 409 and answer.json()["reason"] == "full"


@pytest.mark.parametrize("before", ["", BELOW])
def test_the_application_answers_whether_a_proxy_takes_the_path_off_or_not(make_crowd, before):
    made = make_crowd()
    with TestClient(create_app(made.folder, root_path=BELOW)) as client:
        for path in ("/", "/admin", "/pages/main.js", "/pages/base.css"):
            assert client.get(before + path).status_code == 200
        session = client.get(f"{before}/api/session", headers=bearer(made.tokens[0])).json()
        audio = client.get(f"{before}/api/audio/{session['volume_audio']}", headers=bearer(made.tokens[0]))
        assert audio.headers["content-type"] == "audio/wav"
        if before:
            assert str(client.get(BELOW).url).endswith(f"{BELOW}/"), "relative addresses need the slash"


def test_failed_attempts_are_counted_by_the_address_that_the_proxy_names(make_crowd, serve):
    server = serve(make_crowd())

    def guess(address: str) -> int:
        headers = bearer("guess") | {"X-Forwarded-For": address}
        return httpx.get(f"{server.url}/api/session", headers=headers).status_code

    assert [guess("192.0.2.1") for _ in range(60)][-1] == 429
    assert guess("192.0.2.2") == 401


def test_nothing_in_the_pages_has_an_address_of_the_root(make_crowd):
    made = make_crowd()
    with TestClient(create_app(made.folder)) as client:
        pages = {name: client.get(name).text for name in ("/", "/admin")}
        known = ("main", "admin", "api", "text", "trial", "volume", "dom", "artifacts", "scores", "player")
        pages |= {name: client.get(f"/pages/{name}.js").text for name in known}
        pages |= {name: client.get(f"/pages/{name}.css").text for name in ("base", "style")}
    for name, text in pages.items():
        assert len(text) > 100 and not re.search(r"""["'`(]/(pages|api|admin)""", text), name


def test_from_the_study_link_below_a_path_to_the_completion_page(make_crowd, serve, browser):
    port = free_port()
    # Any page will do for the crowd-sourcing site's: the icon, which runs no scripts.
    back = f"http://127.0.0.1:{port}/pages/icon.svg?cc=C1A2B3"
    made = make_crowd(prolific=True, completion_url=back)
    server = serve(made, port)
    robot = Robot(browser(), "crowd")
    with proxied(server.url, BELOW) as url:
        study = links(url, read_tokens(made.folder), [], prolific=True)
        link = study.join
        for name, value in (("PROLIFIC_PID", "ann"), ("STUDY_ID", "study"), ("SESSION_ID", "visit")):
            link = link.replace(f"{{{{%{name}%}}}}", value)
        robot.go_to_trials(link)
        assert robot.script("return location.search") == "", "the id stays in the address"
        assert robot.script("return location.pathname") == f"{BELOW}/"
        robot.driver.get(link)
        robot.wait(lambda: robot.heading() == robot.words["resume.title"], "the session to be found again")
        robot.go_on(robot.script("return location.href"))
        assert robot.whole_session(lambda number: "4") == 2
        assert robot.text("#completion-code") == "C1A2B3"
        assert robot.script("return document.getElementById('completion-link').href") == back
        robot.wait(lambda: robot.driver.current_url == back, "the way back to the site")
        robot.driver.get(link.replace("visit", "another"))
        robot.wait(lambda: robot.heading() == robot.words["refused.again.title"], "the refusal")
        robot.picture("refused")
        robot.driver.get("about:blank")
        robot.driver.get(link.replace("PROLIFIC_PID=ann&", ""))
        robot.wait(lambda: robot.heading() == robot.words["refused.participant.title"], "the other refusal")
        robot.driver.get(study.admin)
        robot.wait(lambda: "1 of 2 raters have finished" in robot.text("#stage"), "the results")
        # What the other site asks of itself is its own affair.
        asked = [address for address in robot.requests() if not address.startswith((server.url, "about:blank"))]
        assert [address for address in asked if not address.startswith(f"{url}/")] == []
        assert {"audio", "session", "vote", "join"} <= set(re.findall(r"/api/(\w+)", " ".join(asked)))
    with made.store as store:
        assert store.participants() == {2: Participant("ann", "study", "visit")}
        assert [vote.score for vote in store.votes()] == [4, 4]
