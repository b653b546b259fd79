"""Who gets in, and what a rater's browser is told: nothing about systems."""

import re
import time

import httpx
import pytest
from fastapi.testclient import TestClient

from evagan_plugin.listening.design.tokens import read_tokens
from evagan_plugin.listening.web.app import create_app

SYSTEMS = ("secretalpha", "secretbeta")


@pytest.fixture
def made(make_test):
    return make_test(systems=SYSTEMS, count=3, items_per_rater=2, checks=1)


@pytest.fixture
def client(made):
    """The application in this process."""
    with TestClient(create_app(made.folder)) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def vote_for(trial: dict, /, **changes: object) -> dict:
    slots = [sample["slot"] for sample in trial["samples"]]
    vote = {"trial": trial["id"], "scores": dict.fromkeys(slots, 3), "plays": dict.fromkeys(slots, 1), "seconds": 5}
    return vote | {"reference_plays": 1, "shown_at": 1, "answered_at": 6} | changes


def test_the_raters_browser_learns_nothing_about_systems(made, serve):
    server = serve(made)
    seen: list[httpx.Response] = []
    with httpx.Client(base_url=server.url, headers=bearer(made.tokens[0])) as client:
        linked = re.findall(r'"(pages/[\w.]+)"', client.get("/").text)
        assert len(linked) == 4
        pages = ["/", *(f"/{page}" for page in linked), "/pages/trial.js", "/pages/texts.en.json"]
        seen += [client.get(page) for page in pages]
        seen.append(client.get("/api/session"))
        session = client.post("/api/start", json={"language": "en"})
        sizes: dict[str, set[tuple]] = {}
        while session.json()["trials"]:
            seen.append(session)
            trial = session.json()["trials"][0]
            for audio in (trial["reference"], trial["samples"][0]["audio"]):
                answer = client.get(f"/api/audio/{audio}")
                headers = {name: value for name, value in answer.headers.items() if name != "date"}
                # Container, header fields and size are the same for all samples of one item.
                sizes.setdefault(trial["reference"], set()).add((answer.content[:44], *sorted(headers.items())))
                assert answer.headers["content-type"] == "audio/wav"
                assert not {"etag", "last-modified", "content-disposition"} & set(answer.headers)
            session = client.post("/api/vote", json=vote_for(trial))
        seen.append(session)
    assert all(answer.status_code == 200 for answer in seen)
    assert not any("server" in answer.headers for answer in seen)
    assert len(sizes) == 3 and all(len(found) == 1 for found in sizes.values())
    for answer in seen:
        everything = f"{answer.url} {answer.headers} {answer.text}"
        for word in (*SYSTEMS, "anchor", "utt0", "expected"):
            assert word not in everything.lower()
    kinds = {trial["kind"] for answer in seen if "api" in str(answer.url) for trial in answer.json()["trials"]}
    assert kinds == {"training", "test"}  # Attention checks are not named.


def test_file_names_tell_nothing(made):
    names = [path.stem for path in (made.folder / "audio").iterdir()]
    assert all(re.fullmatch(r"[0-9a-f]{32}", name) for name in names)
    # Per item the open reference and four samples (two systems, hidden reference, anchor); six attention checks.
    assert len(names) == len(set(names)) == 3 * 5 + 6


@pytest.mark.parametrize("path", ["/api/admin/status", "/api/admin/report", "/api/admin/export"])
def test_results_need_the_admin_token(made, client, path):
    for headers in ({}, bearer("guess"), bearer(made.tokens[0]), {"Authorization": f"Basic {made.admin}"}):
        assert client.get(path, headers=headers).status_code == 401
    answer = client.get(path, headers=bearer(made.admin))
    assert answer.status_code == 200
    assert "secretalpha" in answer.text or path.endswith("export")


def test_tokens_and_paths_cannot_be_guessed(made, serve):
    server = serve(made)
    token = made.tokens[0]
    assert all(len(one) >= 24 for one in made.tokens) and len(made.admin) >= 32
    assert (made.folder / "tokens.tsv").stat().st_mode & 0o077 == 0
    audio = made.design.items[0].reference
    for path in ("/api/session", f"/api/audio/{audio}"):
        assert httpx.get(server.url + path).status_code == 401
        assert httpx.get(server.url + path, headers=bearer(token + "x")).status_code == 401
    for path in (
        "/api/audio/../test.yaml",
        "/api/audio/..%2ftest.yaml",
        "/api/audio/%2e%2e%2ftokens.tsv",
        "/pages/..%2f..%2fdesign.py",
        "/pages/../app.py",
        "/api/audio/" + "0" * 32,
        "/test.yaml",
        "/votes.sqlite",
        "/docs",
        "/openapi.json",
    ):
        with httpx.Client(base_url=server.url, headers=bearer(token)) as client:
            request = client.build_request("GET", "/")
            request.url = request.url.copy_with(raw_path=path.encode())
            answer = client.send(request)
        assert answer.status_code in (404, 422), path
        assert "secretalpha" not in answer.text


def test_every_answer_has_the_strict_headers(client):
    for path in ("/", "/admin", "/pages/main.js", "/api/session", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    page = client.get("/").text
    assert not re.search(r"https?://|style=|onclick|<script>", page)


def test_bad_votes_are_refused_in_one_line(made, client):
    client.headers = bearer(made.tokens[0])
    trial = client.post("/api/start", json={"language": "en"}).json()["trials"][0]
    other = client.post("/api/start", json={"language": "en"}, headers=bearer(made.tokens[1])).json()
    refused = [
        vote_for(trial, scores={"A": 6}),
        vote_for(trial, scores={"A": 3.5}),
        vote_for(trial, scores={"B": 3}),
        vote_for(trial, plays={"A": 0}),
        vote_for(trial, labels={"A": ["loud"]}),
        vote_for(trial, marks={"A": [{"start": 0, "end": 1, "label": "buzz", "note": "x"}]}),
        vote_for(other["trials"][0]),
        vote_for(trial, trial=10**6),
        {"trial": trial["id"]},
    ]
    for vote in refused:
        answer = client.post("/api/vote", json=vote)
        assert answer.status_code == 422 and "\n" not in answer.json()["detail"]
    huge = client.post("/api/vote", content=b"x" * 70_000, headers={"Content-Type": "application/json"})
    assert huge.status_code == 413
    endless = client.post("/api/vote", content=(b"x" * 10_000 for _ in range(9)))
    assert endless.status_code == 413
    with made.store as store:
        assert store.votes() == []


def test_guessing_is_slowed_down_but_raters_are_not(made, client):
    codes = [client.get("/api/session", headers=bearer(f"guess{number}")).status_code for number in range(40)]
    assert codes[0] == 401 and codes[-1] == 429
    assert client.get("/api/session", headers=bearer(made.tokens[0])).status_code == 429
    time.sleep(4)  # Half an attempt per second comes back.
    assert client.get("/api/session", headers=bearer(made.tokens[0])).status_code == 200


def test_open_link_makes_a_rater_of_its_own(made, client):
    join = bearer(read_tokens(made.folder)["join"])
    tokens = {client.post("/api/join", json={}, headers=join).json()["token"] for _ in range(2)}
    assert len(tokens) == 2 and tokens < set(made.tokens)
    assert client.post("/api/join", json={}, headers=bearer(made.tokens[0])).status_code == 401


def test_a_session_goes_on_where_it_stopped(made, client):
    client.headers = bearer(made.tokens[2])
    first = client.post("/api/start", json={"language": "ja"}).json()
    second = client.post("/api/vote", json=vote_for(first["trials"][0])).json()
    with TestClient(create_app(made.folder), headers=bearer(made.tokens[2])) as elsewhere:
        again = elsewhere.get("/api/session").json()
    assert second["answered"] == again["answered"] == 1
    assert again["trials"] == second["trials"] and again["trials"][0] == first["trials"][1]
    assert again["language"] == "ja" and again["completion_code"] is None
