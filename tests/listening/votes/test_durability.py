"""No acknowledged vote is ever lost: kill -9 under load, repeated votes, two servers on one PostgreSQL."""

import asyncio
import os
import pwd
import random
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from listening_bench import Made, free_port

RATERS = 50


class Crowd:
    """Raters who vote as fast as the server answers, and repeat what was not acknowledged."""

    def __init__(self, urls: list[str]) -> None:
        self.urls = urls
        self.acknowledged: list[tuple[int, dict[str, float]]] = []
        self.failures = 0
        self.codes: set[str] = set()

    async def rater(self, client: httpx.AsyncClient, token: str, number: int) -> None:
        dice = random.Random(number)
        session = await self.ask(client, number, token, "/api/start", {"language": "en"})
        while session["trials"]:
            trial = session["trials"][0]
            slots = [sample["slot"] for sample in trial["samples"]]
            scores = {slot: float(dice.randint(1, 5)) for slot in slots}
            vote = {"trial": trial["id"], "scores": scores, "plays": dict.fromkeys(slots, 1), "seconds": 9.0}
            vote |= {"reference_plays": 1, "shown_at": 1.0, "answered_at": 10.0}
            session = await self.ask(client, number, token, "/api/vote", vote)
            self.acknowledged.append((trial["id"], scores))
            if dice.random() < 0.2:
                again = await self.ask(client, number, token, "/api/vote", vote | {"scores": dict.fromkeys(slots, 1.0)})
                assert not again["stored"]
        self.codes.add(session["completion_code"])

    async def ask(self, client: httpx.AsyncClient, number: int, token: str, path: str, body: dict) -> dict:
        """Post until there is an answer, as the page does."""
        attempt = number
        while True:
            url = self.urls[attempt % len(self.urls)]
            attempt += 1
            try:
                answer = await client.post(url + path, json=body, headers={"Authorization": f"Bearer {token}"})
            except httpx.TransportError:
                self.failures += 1
                await asyncio.sleep(0.1)
                continue
            if answer.status_code in (429, 503):
                await asyncio.sleep(0.2)
                continue
            assert answer.status_code == 200, answer.text
            return answer.json()

    async def run(self, tokens: list[str], disturb) -> None:
        limits = httpx.Limits(max_connections=RATERS)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client, asyncio.TaskGroup() as group:
            group.create_task(disturb(self))
            for number, token in enumerate(tokens):
                group.create_task(self.rater(client, token, number))


def check_votes(made: Made, crowd: Crowd) -> None:
    """Every acknowledged vote is there, once, with the score of its first sending, and nothing else is."""
    with made.store as store:
        votes, raters = store.votes(), store.raters()
    stored = {(vote.trial, vote.slot): vote.score for vote in votes}
    assert len(stored) == len(votes)
    for trial, scores in crowd.acknowledged:
        for slot, score in scores.items():
            assert stored[trial, slot] == score
    assert len(crowd.acknowledged) == len(votes)
    assert all(rater.answered == rater.total > 0 for rater in raters)
    assert crowd.codes == {rater.code for rater in raters}


def test_kill_nine_loses_no_acknowledged_vote(make_test, serve):
    made = make_test(count=4, raters=RATERS, items_per_rater=2, checks=0, training_items=0)
    port = free_port()
    running = [serve(made, port)]

    async def disturb(crowd: Crowd) -> None:
        for wanted in (30, 150):
            while len(crowd.acknowledged) < wanted:
                await asyncio.sleep(0.01)
            running[-1].kill()
            running.append(await asyncio.to_thread(serve, made, port))

    crowd = Crowd([running[0].url])
    asyncio.run(crowd.run(made.tokens, disturb))
    assert crowd.failures > 0, "the server was not killed in the middle of traffic"
    check_votes(made, crowd)
    with made.store as store:
        test_votes = [vote for vote in store.votes() if vote.kind == "test"]
    per_system = Counter(vote.system for vote in test_votes)
    per_item = Counter(vote.item for vote in test_votes)
    assert set(per_system.values()) == {2 * RATERS}
    assert max(per_item.values()) - min(per_item.values()) <= len(per_system)


@pytest.fixture
def postgres() -> Iterator[str]:
    """URL of a database in a PostgreSQL cluster of our own."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if os.path.isdir("/usr/lib/postgresql") else []
    found = shutil.which("initdb")
    folder = Path(found).parent if found else programs[-1] if programs else None
    if folder is None:
        pytest.skip("no PostgreSQL server programs (initdb): install them (Debian: apt install postgresql)")
    account = None
    if os.geteuid() == 0:
        try:
            account = pwd.getpwnam("postgres").pw_name
        except KeyError:
            pytest.skip("PostgreSQL refuses to run as root and there is no user postgres")
    # Not below pytest's own folder, which only its owner can enter.
    home = Path(tempfile.mkdtemp())
    if account:
        shutil.chown(home, account)
    data, port = home / "data", free_port()

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [str(folder / program), *arguments],
            user=account,
            cwd=home,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    run("initdb", "-D", str(data), "-U", "tester", "-A", "trust", "--no-sync")
    settings = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c max_connections=120"
    run("pg_ctl", "-D", str(data), "-o", settings, "-l", str(home / "log"), "-w", "start")
    try:
        yield f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(home)


@pytest.mark.slow
def test_two_servers_on_one_postgresql(make_test, serve, postgres):
    raters = 20
    made = make_test(count=4, raters=raters, items_per_rater=2, checks=0, training_items=0, database=postgres)
    assert not (made.folder / "votes.sqlite").exists()
    first, second = serve(made), serve(made)

    async def disturb(crowd: Crowd) -> None:
        while len(crowd.acknowledged) < 30:
            await asyncio.sleep(0.01)
        first.kill()

    crowd = Crowd([first.url, second.url])
    asyncio.run(crowd.run(made.tokens, disturb))
    assert crowd.failures > 0
    check_votes(made, crowd)
    with made.store as store:
        per_item = Counter(vote.item for vote in store.votes() if vote.kind == "test")
    assert max(per_item.values()) - min(per_item.values()) <= 4
