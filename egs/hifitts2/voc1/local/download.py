"""Download chapters of HiFiTTS-2 from LibriVox and cut them: ``download.py CORPUS HOURS PART``.

A chapter (MP3) is downloaded, cut into its utterances, and left no trace of but these, in ``CORPUS/audio_44khz``, where
NVIDIA's own script puts them, too; their rate is the MP3's, curation and formatting do the rest. A chapter whose
utterances are all there is done. Chapters that cannot be had (LibriVox takes some down) are listed with their reason in
``errors_44khz.json`` and left out; when many fail, the run ends.

``HOURS`` (0: all) takes chapters in the order of a hash, so that more hours hold fewer ones; chapters with utterances
of the development and the test set go first. ``PART`` is ``K/N``: every N-th chapter of these from the K-th on.
"""

import itertools
import json
import math
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import HTTPError

from manifest import ANOTHER_VERSION, AUDIO, CHAPTERS, ERRORS, MANIFESTS, find_table, read_lines, set_of

from evagan_plugin.audio.io import downmix, load_audio, save_audio
from evagan_plugin.data.corpus import stable_hash
from evagan_plugin.errors import EvaganError, UsageError, library_errors, one_line_errors
from evagan_plugin.utils.fetch import fetch
from evagan_plugin.utils.files import write_text
from evagan_plugin.utils.parts import Part
from evagan_plugin.utils.progress import track

CHAPTERS_AT_ONCE = 8
JUDGED_BY = 20
"""Chapters with utterances of the development set that go first, and as many of the test set."""
TRIES, PAUSE_SECONDS = 4, 2.0
"""Of a server that is busy or away; the pause doubles."""
FAILED_AT_LEAST, FAILED_SHARE = 20, 0.05
"""A run ends when more chapters fail than the larger of this number and this share."""
FLAC_BYTES = 44100 * 2 * 0.5
"""Of a second, for the check of the disk; FLAC takes about half of 16-bit PCM."""
OVERSHOOT = 0.5
"""Seconds that an utterance may end after its chapter; more, and it is another recording than the manifest's."""

Chapter = dict[str, Any]


def choose(corpus: Path, hours: float, part: str) -> list[Chapter]:
    """Return the chapters to have.

    Raises:
        UsageError: If the part is not K/N, or a table is missing or malformed.
    """
    mine = Part.parse(part)
    table = find_table(corpus, (CHAPTERS,))
    chapters = list(read_lines(table, "url", "chapter_filepath", "utterances"))
    for number, chapter in enumerate(chapters, 1):
        _check(chapter, f"{table}:{number}")
    chapters.sort(key=lambda chapter: stable_hash(chapter["chapter_filepath"]))
    if hours:
        chapters = _first_hours(_judged_first(chapters, corpus), hours)
    return chapters[mine.number - 1 :: mine.count]


def _check(chapter: Chapter, place: str) -> None:
    if not all(isinstance(chapter[name], str) for name in ("url", "chapter_filepath")):
        raise UsageError(f"{place}: url and chapter_filepath are not both text; {ANOTHER_VERSION}")
    cuts = chapter["utterances"]
    if not (isinstance(cuts, list) and all(isinstance(cut, dict) for cut in cuts)):
        raise UsageError(f"{place}: utterances is no list of objects; {ANOTHER_VERSION}")
    for cut in cuts:
        name = cut.get("audio_filepath")
        if not isinstance(name, str):
            raise UsageError(
                f"{place}: audio_filepath of an utterance is {json.dumps(name)}, no text; {ANOTHER_VERSION}"
            )
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise UsageError(f"{place}: audio_filepath '{path}' does not lie in the corpus")
        for field in ("offset", "duration"):
            seconds = cut.get(field)
            if not (isinstance(seconds, int | float) and 0 <= seconds < math.inf):
                raise UsageError(f"{place}: {field} of {path} is {json.dumps(seconds)}, no seconds; {ANOTHER_VERSION}")


def _judged_first(chapters: list[Chapter], corpus: Path) -> list[Chapter]:
    manifest = find_table(corpus, MANIFESTS)
    lines = read_lines(manifest, "audio_filepath", "set")
    judged = {line["audio_filepath"]: kind for line in lines if (kind := set_of(line, manifest)) != "train"}
    first: dict[str, Chapter] = {}
    for kind in ("dev", "test"):
        having = (one for one in chapters if any(judged.get(cut["audio_filepath"]) == kind for cut in _cuts(one)))
        first |= {chapter["chapter_filepath"]: chapter for chapter in itertools.islice(having, JUDGED_BY)}
    return [*first.values(), *(chapter for chapter in chapters if chapter["chapter_filepath"] not in first)]


def _first_hours(chapters: list[Chapter], hours: float) -> list[Chapter]:
    seconds = itertools.accumulate(seconds_of(chapter) for chapter in chapters)
    enough = next((count for count, sum_ in enumerate(seconds, 1) if sum_ >= hours * 3600), len(chapters))
    return chapters[:enough]


def seconds_of(chapter: Chapter) -> float:
    """Return the seconds of a chapter that are cut out."""
    return sum(cut["duration"] for cut in _cuts(chapter))


def _cuts(chapter: Chapter) -> list[dict[str, Any]]:
    return chapter["utterances"]


def fetch_chapter(chapter: Chapter, audio: Path) -> None:
    """Download a chapter and cut it.

    Raises:
        EvaganError: If it cannot be had or read, or is shorter than its utterances need; nothing of it is there then.
    """
    with tempfile.TemporaryDirectory(dir=audio, prefix=".chapter") as folder:
        mp3 = Path(folder, "chapter.mp3")
        _fetch(chapter["url"], mp3)
        wav, rate = load_audio(mp3)
        mono = downmix(wav)
        for number, cut in enumerate(_cuts(chapter)):
            first, last = (round(rate * second) for second in (cut["offset"], cut["offset"] + cut["duration"]))
            if last > len(mono) + OVERSHOOT * rate or first >= len(mono):
                raise EvaganError(
                    f"{len(mono) / rate:.1f} s long, but {cut['audio_filepath']} ends at {last / rate:.1f} s"
                )
            save_audio(Path(folder, f"{number}.flac"), mono[first:last], rate)
        for number, cut in enumerate(_cuts(chapter)):
            target = audio / cut["audio_filepath"]
            target.parent.mkdir(parents=True, exist_ok=True)
            Path(folder, f"{number}.flac").rename(target)


def _fetch(url: str, path: Path) -> None:
    for attempt in range(TRIES):
        try:
            fetch(url, path)
            return
        except EvaganError as error:
            gone = isinstance(error.__cause__, HTTPError) and error.__cause__.code < 500
            if gone or attempt == TRIES - 1:
                reason = getattr(error.__cause__, "reason", None) or error
                code = f"{error.__cause__.code} " if isinstance(error.__cause__, HTTPError) else ""
                raise EvaganError(f"{code}{reason}") from error
            time.sleep(PAUSE_SECONDS * 2**attempt)


def download(chapters: list[Chapter], audio: Path) -> list[Chapter]:
    """Download what is not there, and return the chapters that could not be had, with ``error_reason``.

    Raises:
        EvaganError: If the disk has no room, or too many fail.
    """
    audio.mkdir(parents=True, exist_ok=True)
    for rest in audio.glob(".chapter*"):  # of a run that was killed, unless another part works in it
        if time.time() - rest.stat().st_mtime > 24 * 3600:
            shutil.rmtree(rest, ignore_errors=True)
    missing = [one for one in chapters if not all((audio / cut["audio_filepath"]).is_file() for cut in _cuts(one))]
    needed = sum(map(seconds_of, missing)) * FLAC_BYTES
    free = shutil.disk_usage(audio).free
    hours = sum(map(seconds_of, missing)) / 3600
    sys.stderr.write(f"{len(chapters)} chapters, {len(missing)} to download: {hours:.1f} h, {needed / 2**30:.1f} GiB\n")
    if needed > free:
        raise EvaganError(
            f"{audio}: {hours:.0f} h take about {needed / 2**30:.0f} GiB and the disk has {free / 2**30:.0f}: "
            "make room, or give fewer --hours"
        )

    def try_one(chapter: Chapter) -> str:
        try:
            with library_errors(chapter["chapter_filepath"]):
                fetch_chapter(chapter, audio)
        except EvaganError as error:
            return str(error)
        return ""

    failed: list[Chapter] = []
    with ThreadPoolExecutor(CHAPTERS_AT_ONCE) as pool:
        futures = [pool.submit(try_one, chapter) for chapter in missing]
        try:
            for done, (chapter, future) in enumerate(zip(missing, track(futures, "chapters"), strict=True), 1):
                if reason := future.result():
                    failed.append(chapter | {"error_reason": reason})
                if len(failed) > max(FAILED_AT_LEAST, FAILED_SHARE * done):
                    raise EvaganError(
                        f"{len(failed)} of {done} chapters cannot be had, the last: {chapter['url']}: {reason}; "
                        "run it again to go on"
                    )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failed


def main(corpus: Path, hours: float, part: str) -> None:
    """Download, and list what could not be had."""
    failed = download(choose(corpus, hours, part), corpus / AUDIO)
    write_text(corpus / (ERRORS if part == "1/1" else f"{part.replace('/', 'of')}.{ERRORS}"), _text(failed))
    for chapter in failed:
        sys.stderr.write(f"  left out: {chapter['url']}: {chapter['error_reason']}\n")


def parse_hours(text: str) -> float:
    """Read what ``HOURS`` was given (raises :class:`UsageError`)."""
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not 0 <= hours < math.inf:
        raise UsageError(f"--hours {text}: it is a number of hours, or 0 for all")
    return hours


def _text(chapters: list[Chapter]) -> str:
    return "".join(f"{json.dumps(chapter, ensure_ascii=False)}\n" for chapter in chapters)


if __name__ == "__main__":
    with one_line_errors("download.py"):
        main(Path(sys.argv[1]), parse_hours(sys.argv[2]), sys.argv[3])
