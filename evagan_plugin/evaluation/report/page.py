"""The report as one HTML file that needs nothing beside it: tables, charts, spectrograms, audio."""

from typing import Any

from evagan_plugin.data.names import REFERENCE
from evagan_plugin.evaluation.report.compare import Comparison
from evagan_plugin.evaluation.report.embedding import PAGES, SHARED_PAGES, flac_uri, template, text_of
from evagan_plugin.evaluation.report.pictures import category_charts, spectrograms
from evagan_plugin.evaluation.report.remarks import DIFFERENCES_NOTE, comparable, headline, remarks
from evagan_plugin.evaluation.report.tables import differences_table, number, systems_table
from evagan_plugin.evaluation.report.worst import LONGEST_SECONDS, WorstUtterance, worst_utterances
from evagan_plugin.evaluation.scores import GROUND_TRUTH
from evagan_plugin.utils.progress import track


def render_page(comparison: Comparison) -> str:
    """Return the whole page; the audio of the worst utterances is read, cut and embedded as FLAC (16 bit).

    Raises:
        EvaganError: If an audio file has become unreadable, or jinja2 or matplotlib is missing.
    """
    page = template("report.html")
    scores, ranking = comparison.scores, comparison.ranking
    worst = worst_utterances(scores, comparison.items, ranking)
    systems = [system for system in scores.systems if system != GROUND_TRUTH]
    return page.render(
        headline=headline(scores).replace("`", ""),
        comparison=comparison,
        scores=scores,
        ranking=ranking,
        style=text_of(SHARED_PAGES / "base.css", PAGES / "report.css"),
        script=text_of(SHARED_PAGES / "player.js", PAGES / "report.js"),
        charts=list(category_charts(scores)) if scores.categories else [],
        category_tables={category: systems_table(scores, category) for category in scores.categories},
        differences=differences_table(scores) if comparable(scores) else None,
        differences_note=DIFFERENCES_NOTE,
        remarks=remarks(scores),
        sounds=[REFERENCE, *systems],
        utterances=[_card(utterance, scores.sample_rate) for utterance in track(worst, "report")],
        longest_seconds=LONGEST_SECONDS,
    )


def _card(utterance: WorstUtterance, sample_rate: int) -> dict[str, Any]:
    """Return what the page shows of an utterance."""
    return {
        "utterance": utterance,
        "seconds": next(iter(utterance.waves.values())).size / sample_rate,
        "values": {system: number(value) for system, value in utterance.values.items()},
        "audio": {name: flac_uri(wav, sample_rate) for name, wav in utterance.waves.items()},
        "pictures": spectrograms(utterance, sample_rate),
    }
