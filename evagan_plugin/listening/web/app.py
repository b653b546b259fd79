"""The listening test over HTTP: a page for raters, a page for the administrator, and what they ask for."""

from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError

from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.listening.design.design import (
    ARTIFACT_LABELS,
    TEST_FILE,
    AudioId,
    ListeningTest,
    audio_path,
    load_design,
)
from evagan_plugin.listening.design.options import Language
from evagan_plugin.listening.design.tokens import read_tokens
from evagan_plugin.listening.results.objective import kept_metrics
from evagan_plugin.listening.results.report import ReportOptions, analyse
from evagan_plugin.listening.results.status import status_of
from evagan_plugin.listening.votes.arrivals import AdmissionError
from evagan_plugin.listening.votes.export import votes_csv
from evagan_plugin.listening.votes.records import Answer, Label, Mark, Rater, Seconds, Trial
from evagan_plugin.listening.votes.store import Store, open_store
from evagan_plugin.listening.web.arrival import participant_of
from evagan_plugin.listening.web.guard import BelowPath, Guard, RateLimit, bearer_token, client_of, same_secret

AHEAD = 3
"""Trials that a page gets at once, so that it can load the audio of the next ones."""
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}

SlotName = Annotated[str, Field(pattern=r"^[A-Z]$")]
Clock = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]


class PostedVote(BaseModel):
    """What the page sends for one trial: an :class:`~evagan_plugin.listening.votes.records.Answer`."""

    model_config = ConfigDict(extra="forbid")

    trial: int
    scores: dict[SlotName, Annotated[float, Field(allow_inf_nan=False)]]
    plays: dict[SlotName, Annotated[int, Field(ge=0, le=100_000)]]
    reference_plays: Annotated[int, Field(ge=0, le=100_000)] = 0
    seconds: Seconds
    shown_at: Clock
    answered_at: Clock
    labels: dict[SlotName, Annotated[list[Label], Field(max_length=len(ARTIFACT_LABELS))]] = {}
    marks: dict[SlotName, Annotated[list[Mark], Field(max_length=50)]] = {}


class PostedArrival(BaseModel):
    """What the open link's address says beside its secret."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(max_length=4000)] = ""


class PostedStart(BaseModel):
    """Consent, with the language and the outcome of the headphone check."""

    model_config = ConfigDict(extra="forbid")

    language: Language
    headphones: Annotated[str, Field(pattern="^(ok|swapped|both|skipped)$")] | None = None


@dataclass(frozen=True)
class Session:
    """Where a rater stands; system names are not in it."""

    started: bool
    answered: int
    total: int
    trials: list[Trial]
    """The next ones; attention checks are not named."""
    completion_code: str | None
    """At the end only, as the next one."""
    completion_url: str | None


class Service:
    """What the routes share: the store, the design as it is now, tokens and limits."""

    def __init__(self, test_dir: str | Path, database: str | None) -> None:
        self.test_dir = Path(test_dir)
        self._design = load_design(test_dir)
        self._stamp = self._file_stamp()
        self.tokens = read_tokens(test_dir)
        self.store: Store = open_store(test_dir, self._design, database)
        # Raters in one room share an address: known tokens have their own budget, addresses only their failures.
        self._rater_limit = RateLimit(per_second=20, burst=200)
        self._failure_limit = RateLimit(per_second=0.5, burst=30)
        self._join_limit = RateLimit(per_second=1, burst=100)

    def _file_stamp(self) -> tuple[int, int]:
        status = (self.test_dir / TEST_FILE).stat()
        return status.st_mtime_ns, status.st_ino

    def design(self) -> ListeningTest:
        """Return the design; read anew where a system was added meanwhile."""
        stamp = self._file_stamp()
        if stamp != self._stamp:
            self._design, self._stamp = load_design(self.test_dir), stamp
        return self._design

    def rater(self, request: Request) -> Rater:
        """Return the rater whose token came with the request; else answer 401, or 429 after many failures."""
        self._stop_guessing(request)
        token = bearer_token(request)
        rater = self.store.rater(token) if token else None
        if rater is None:
            self._fail(request, "this link is not valid: ask for your personal link")
        self._rater_limit.take(token)
        return rater

    def admin(self, request: Request) -> None:
        """Answer 401 unless the admin token came with the request."""
        self._stop_guessing(request)
        if not same_secret(bearer_token(request), self.tokens["admin"]):
            self._fail(request, "the admin token is needed: evagan listen status shows it")

    def join(self, request: Request, query: str) -> str:
        """Make a rater of who has the open link, or find their unfinished session; return the personal token."""
        self._stop_guessing(request)
        if not same_secret(bearer_token(request), self.tokens["join"]):
            self._fail(request, "this link is not valid: ask for your personal link")
        self._join_limit.take(client_of(request))
        crowd = self.design().crowd
        return self.store.join(participant_of(query, demanded=crowd.prolific), crowd)

    def session(self, rater: Rater) -> Session:
        """Return where a rater stands, with the next trials."""
        answered, total = self.store.progress(rater.id)
        finished = total > 0 and answered == total
        crowd = self.design().crowd
        return Session(
            started=rater.consented_at is not None,
            answered=answered,
            total=total,
            trials=[
                replace(trial, kind="training" if trial.kind == "training" else "test")
                for trial in self.store.next_trials(rater.id, AHEAD)
            ],
            completion_code=crowd.code_of(rater.code) if finished else None,
            completion_url=crowd.completion_url if finished else None,
        )

    def _stop_guessing(self, request: Request) -> None:
        if self._failure_limit.spent(client_of(request)):
            raise HTTPException(429, "too many failed attempts: wait a minute", headers={"Retry-After": "60"})

    def _fail(self, request: Request, message: str) -> None:
        self._failure_limit.take(client_of(request))
        raise HTTPException(401, message, headers={"WWW-Authenticate": "Bearer"})


def create_app(test_dir: str | Path, database: str | None = None, root_path: str = "") -> FastAPI:
    """Return the ASGI application of one test.

    Args:
        test_dir: The test folder.
        database: URL of the vote store, where it is not ``votes.sqlite`` in the folder. Several servers may share one.
        root_path: Path before all of its own at which a proxy shows the application, such as ``/listening/test1``.
            The proxy may take it off or leave it on. Nothing in the pages depends on it: their addresses are relative.
    """
    service = Service(test_dir, database)
    app = FastAPI(title="listening test", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard)
    app.add_middleware(BelowPath, root_path=root_path)
    _add_error_answers(app)
    _add_page_routes(app)
    _add_rater_routes(app, service)
    _add_admin_routes(app, service)
    return app


def _add_error_answers(app: FastAPI) -> None:
    @app.exception_handler(EvaganError)
    def refused(_: Request, error: EvaganError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422 if isinstance(error, UsageError) else 500)

    @app.exception_handler(AdmissionError)
    def not_admitted(_: Request, error: AdmissionError) -> JSONResponse:
        return JSONResponse({"detail": str(error), "reason": error.reason}, 409)

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"detail": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, 422)

    @app.exception_handler(SQLAlchemyError)
    def unavailable(_: Request, __: SQLAlchemyError) -> JSONResponse:
        # The page keeps the vote and sends it again, as after any 5xx.
        return JSONResponse({"detail": "the vote store is not available just now"}, 503)


def _add_page_routes(app: FastAPI) -> None:
    folders = (files(package) / "pages" for package in ("evagan_plugin.utils", "evagan_plugin.listening.web"))
    known = {
        entry.name: (entry.read_bytes(), MEDIA_TYPES[Path(entry.name).suffix])
        for folder in folders
        for entry in folder.iterdir()
        if Path(entry.name).suffix in MEDIA_TYPES
    }

    def page(name: str) -> Response:
        if name not in known:
            raise HTTPException(404, "no such page")
        content, media_type = known[name]
        return Response(content, media_type=media_type)

    @app.get("/")
    def rater_page() -> Response:
        return page("rater.html")

    @app.get("/admin")
    def admin_page() -> Response:
        return page("admin.html")

    @app.get("/pages/{name}")
    def asset(name: str) -> Response:
        return page(name)


def _add_rater_routes(app: FastAPI, service: Service) -> None:
    rater_of_request = Depends(service.rater)

    @app.post("/api/join")
    def join(arrival: PostedArrival, request: Request) -> dict[str, str]:
        return {"token": service.join(request, arrival.query)}

    @app.get("/api/session")
    def session(rater: Rater = rater_of_request) -> dict[str, Any]:
        design, rules = service.design(), service.design().rules
        about = {
            "title": design.title,
            "protocol": design.protocol,
            "language": rater.language or design.language,
            "consent": design.consent,
            "half_points": design.half_points,
            "samples": rules.samples,
            "must_hear": rules.must_hear,
            "sample_rate": design.sample_rate,
            "checks": design.checks_per_rater > 0,
            "labels": ARTIFACT_LABELS,
            "volume_audio": design.items[0].reference,
        }
        return about | asdict(service.session(rater))

    @app.post("/api/start")
    def start(choice: PostedStart, rater: Rater = rater_of_request) -> dict[str, Any]:
        service.store.start(rater.id, choice.language, choice.headphones, service.design)
        return asdict(service.session(service.store.rater(rater.token)))

    @app.post("/api/vote")
    def vote(posted: PostedVote, rater: Rater = rater_of_request) -> dict[str, Any]:
        # dict() and not model_dump(), which would make dicts of the marks as well.
        stored = service.store.save(rater.id, Answer(**dict(posted)))
        return {"stored": stored} | asdict(service.session(rater))

    @app.get("/api/audio/{audio}")
    def audio(audio: AudioId, _: Rater = rater_of_request) -> Response:
        path = audio_path(service.test_dir, audio)
        if not path.is_file():
            raise HTTPException(404, "no such audio")
        # No file response: its modification time and tag would tell in which order the samples were made.
        return Response(path.read_bytes(), media_type="audio/wav")


def _add_admin_routes(app: FastAPI, service: Service) -> None:
    admin_only = [Depends(service.admin)]

    @app.get("/api/admin/status", dependencies=admin_only)
    def status() -> dict[str, Any]:
        return asdict(status_of(service.design(), service.store))

    @app.get("/api/admin/report", dependencies=admin_only)
    def report() -> dict[str, Any]:
        design = service.design()
        return asdict(analyse(design, service.store, ReportOptions(metrics=kept_metrics(service.test_dir, design))))

    @app.get("/api/admin/export", dependencies=admin_only)
    def export() -> Response:
        return PlainTextResponse(votes_csv(service.store), media_type="text/csv")
