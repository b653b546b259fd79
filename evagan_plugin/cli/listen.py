"""``evagan listen``: listening tests, from folders of audio to scores with intervals."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from evagan_plugin.cli.options import AllowPipes, Manifest, VersaScores
from evagan_plugin.listening.design.crowd import Crowd
from evagan_plugin.listening.design.options import EXPORT_FORMS, LANGUAGES, ListeningOptions, read_consent
from evagan_plugin.listening.design.protocols import PROTOCOLS

app = typer.Typer(help="Listening tests in the browser: make, serve, watch, report.", no_args_is_help=True)


def _either(names: Iterable[str]) -> str:
    """Return a choice in words, for a help text."""
    *first, last = names
    return f"{', '.join(first)} or {last}."


TestDir = Annotated[Path, typer.Argument(metavar="TEST", help="Folder of the listening test.")]
Database = Annotated[
    str | None,
    typer.Option(
        envvar="EVAGAN_LISTEN_DATABASE",
        help="Vote store as SQLAlchemy URL, such as postgresql+psycopg://user@host/name; TEST/votes.sqlite by default.",
    ),
]


@app.command()
def create(
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    reference: Annotated[Path, typer.Option(help="Folder or wav.scp of the reference audio.")],
    named: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=]DIR...", help="Systems: folder or wav.scp of each.")
    ] = None,
    systems: Annotated[list[str] | None, typer.Option(metavar="[NAME=]DIR...", help="The same, as an option.")] = None,
    protocol: Annotated[str, typer.Option(help=_either(PROTOCOLS))] = ListeningOptions.protocol,
    title: Annotated[str, typer.Option(help="What raters see as the name of the test.")] = ListeningOptions.title,
    language: Annotated[
        str, typer.Option(help=f"Language where the browser asks for none: {_either(LANGUAGES)}")
    ] = ListeningOptions.language,
    manifest: Manifest = None,
    items_per_category: Annotated[
        int | None, typer.Option(min=1, help="Utterances per category; all by default.")
    ] = ListeningOptions.items_per_category,
    items_per_rater: Annotated[
        int, typer.Option(min=1, help="Utterances each rater hears, in all versions.")
    ] = ListeningOptions.items_per_rater,
    raters: Annotated[int, typer.Option(min=1, help="Personal links to make.")] = ListeningOptions.raters,
    training_items: Annotated[
        int, typer.Option(min=0, help="Utterances for practice only.")
    ] = ListeningOptions.training_items,
    checks: Annotated[int, typer.Option(min=0, help="Attention checks per rater.")] = ListeningOptions.checks,
    max_seconds: Annotated[
        float, typer.Option(help="Longer utterances are cut to this at low-energy points.")
    ] = ListeningOptions.max_seconds,
    sample_rate: Annotated[
        int | None, typer.Option(help="Rate of the test (Hz); the reference's by default.")
    ] = ListeningOptions.sample_rate,
    half_points: Annotated[
        bool, typer.Option("--half-points", help="Allow 4.5, 3.5, ... (smos, mos).")
    ] = ListeningOptions.half_points,
    loudness: Annotated[
        float, typer.Option(help="Loudness that all samples are brought to (LUFS).")
    ] = ListeningOptions.loudness,
    keep_levels: Annotated[bool, typer.Option("--keep-levels", help="Leave levels alone.")] = False,
    no_reference: Annotated[bool, typer.Option("--no-reference", help="Without hidden reference.")] = False,
    no_anchor: Annotated[bool, typer.Option("--no-anchor", help="Without the 3.5 kHz low-passed anchor.")] = False,
    consent: Annotated[Path | None, typer.Option(help="Text file with your own consent text.")] = None,
    prolific: Annotated[
        bool, typer.Option("--prolific", help="The open link is for Prolific's participants, once each.")
    ] = Crowd.prolific,
    completion_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where raters are sent at the end, as Prolific gives it.")
    ] = Crowd.completion_url,
    completion_code: Annotated[
        str | None, typer.Option(help="Code shown at the end, in place of one of each rater's own.")
    ] = Crowd.completion_code,
    max_raters: Annotated[
        int | None, typer.Option(min=1, help="How many may take part; no limit by default.")
    ] = Crowd.max_raters,
    place_minutes: Annotated[
        float, typer.Option(help="How long an unfinished session holds its place after its last vote (minutes).")
    ] = Crowd.place_minutes,
    seed: Annotated[
        int, typer.Option(help="Of the choice of utterances and the random orders.")
    ] = ListeningOptions.seed,
    allow_pipes: AllowPipes = ListeningOptions.allow_pipes,
    database: Database = None,
) -> None:
    """Make a test folder out of reference and systems, matched by utterance id."""
    from evagan_plugin.data.systems import parse_systems, read_categories
    from evagan_plugin.listening.create import create_test
    from evagan_plugin.listening.results.render import describe_test

    options = ListeningOptions(
        title=title,
        protocol=protocol,
        language=language,
        half_points=half_points,
        hidden_reference=not no_reference,
        anchor=not no_anchor,
        align_loudness=not keep_levels,
        loudness=loudness,
        max_seconds=max_seconds,
        sample_rate=sample_rate,
        items_per_category=items_per_category,
        items_per_rater=items_per_rater,
        training_items=training_items,
        checks=checks,
        raters=raters,
        seed=seed,
        consent=read_consent(consent) if consent else None,
        categories=read_categories(manifest) if manifest else {},
        crowd=Crowd(prolific, completion_url, completion_code, max_raters, place_minutes),
        allow_pipes=allow_pipes,
    )
    design = create_test(out, reference, parse_systems([*(systems or []), *(named or [])]), options, database)
    typer.echo(describe_test(out, design))


@app.command()
def add(
    test: TestDir,
    system: Annotated[str, typer.Argument(metavar="[NAME=]DIR", help="Folder or wav.scp of the new system.")],
    step: Annotated[int | None, typer.Option(min=0, help="Training step of its checkpoint.")] = None,
    scores: Annotated[Path | None, typer.Option(help="scores.json of 'evagan score' that has the system.")] = None,
    allow_pipes: AllowPipes = False,
    database: Database = None,
) -> None:
    """Put another system into a test, which may be running."""
    from evagan_plugin.data.systems import parse_systems
    from evagan_plugin.listening.add import add_system
    from evagan_plugin.listening.results.objective import system_scores

    [(name, source)] = parse_systems([system]).items()
    metrics = system_scores(scores, name) if scores else None
    add_system(test, name, source, step, metrics, database, allow_pipes)
    typer.echo(f"{test}: system '{name}' added")


@app.command()
def serve(
    test: TestDir,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    url: Annotated[
        str | None, typer.Option(help="Address that raters use, with any path: https://its.name/test1.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS key (PEM).")] = None,
    database: Database = None,
) -> None:
    """Serve a test to raters until interrupted."""
    from evagan_plugin.listening.web.server import Address, serve_test

    serve_test(test, Address(host, port, url, certificate, key), database, announce=typer.echo)


@app.command()
def status(
    test: TestDir,
    url: Annotated[str, typer.Option(help="Address of the server, to print links with.")] = "http://127.0.0.1:8000",
    database: Database = None,
) -> None:
    """Show votes by system, raters, what is left, and the links."""
    from evagan_plugin.listening.design.design import load_design
    from evagan_plugin.listening.design.tokens import links, read_tokens
    from evagan_plugin.listening.results.render import render_status
    from evagan_plugin.listening.results.status import status_of
    from evagan_plugin.listening.votes.store import open_store

    design = load_design(test)
    with open_store(test, design, database) as store:
        found = links(url, read_tokens(test), [rater.token for rater in store.raters()], design.crowd.prolific)
        typer.echo(render_status(status_of(design, store), found))


@app.command()
def report(
    test: TestDir,
    out: Annotated[Path | None, typer.Option(help="Folder for the files; TEST/report by default.")] = None,
    scores: Annotated[
        list[Path] | None, typer.Option(help="scores.json of 'evagan score', to compare with; repeatable.")
    ] = None,
    versa_scores: VersaScores = None,
    keep: Annotated[list[int] | None, typer.Option(help="Rater to keep, whatever the screening finds.")] = None,
    exclude: Annotated[list[int] | None, typer.Option(help="Rater to leave out.")] = None,
    no_screening: Annotated[bool, typer.Option("--no-screening", help="Keep all raters.")] = False,
    database: Database = None,
) -> None:
    """Print the scores, and write report.md, .json, .csv and pictures."""
    from evagan_plugin.listening.design.design import load_design
    from evagan_plugin.listening.results.objective import add_versa, kept_metrics, read_scores
    from evagan_plugin.listening.results.render import render_markdown, write_report
    from evagan_plugin.listening.results.report import ReportOptions, analyse
    from evagan_plugin.listening.results.screening import ScreeningRules
    from evagan_plugin.listening.votes.store import open_store

    design = load_design(test)
    metrics = kept_metrics(test, design)
    for path in scores or []:
        metrics |= read_scores(path)
    if versa_scores:
        from evagan_plugin.data.systems import parse_named  # it brings soundfile

        versa = parse_named("--versa-scores", versa_scores, "NAME=FILE")
        metrics = add_versa(metrics, versa, [system.name for system in design.systems])
    rules = None if no_screening else ScreeningRules()
    with open_store(test, design, database) as store:
        found = analyse(design, store, ReportOptions(rules, keep or (), exclude or (), metrics))
    typer.echo(render_markdown(found))
    for path in write_report(test, design, found, out or test / "report"):
        typer.echo(path, err=True)


@app.command()
def export(
    test: TestDir,
    out: Annotated[
        Path | None, typer.Option(help="File to write, .csv or .json; CSV to standard output if none.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="votes: one row per vote; p808: sessions for Microsoft's P.808 toolkit.")
    ] = EXPORT_FORMS[0],
    database: Database = None,
) -> None:
    """Write every raw vote, with presented order and times, or sessions for another program."""
    from evagan_plugin.listening.design.design import load_design
    from evagan_plugin.listening.votes.export import export_text, write_votes
    from evagan_plugin.listening.votes.store import open_store

    design = load_design(test)
    with open_store(test, design, database) as store:
        if out:
            write_votes(store, design, out, form)
        else:
            typer.echo(export_text(store, design, form), nl=False)
