"""The words of the pages: complete in every language, and all of them used."""

import json
import re
from importlib.resources import files

import pytest

from evagan_plugin.listening.design.design import ARTIFACT_LABELS
from evagan_plugin.listening.design.options import LANGUAGES
from evagan_plugin.listening.design.protocols import PROTOCOLS

PAGES = files("evagan_plugin.listening.web") / "pages"


def texts(language: str) -> dict[str, str]:
    return json.loads((PAGES / f"texts.{language}.json").read_text(encoding="utf-8"))


def keys_in_scripts() -> set[str]:
    """Keys that scripts name; an open end such as ``scale.smos.${value}`` stands as its beginning and ``*``."""
    scripts = [entry.read_text(encoding="utf-8") for entry in PAGES.iterdir() if entry.name.endswith(".js")]
    found = re.findall(r"""(?<!\w)t\(\s*["`]([^"`]+)["`]""", "".join(scripts))
    found += re.findall(r'"(trial\.[\w.]+)"', "".join(scripts))
    found += re.findall(r"`(trial\.[\w.]+\$\{.*?\})`", "".join(scripts))
    found += ["trial.toggle", "trial.both"]
    return {re.sub(r"\$\{.*", "*", key) for key in found}


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_have_the_same_words_and_places(language):
    english, other = texts("en"), texts(language)
    assert list(other) == list(english)
    for key, text in english.items():
        assert other[key].strip()
        assert sorted(re.findall(r"\{\w+\}", other[key])) == sorted(re.findall(r"\{\w+\}", text)), key
        if key.startswith("keys."):
            keys = [[pair.split("=")[0] for pair in one.split("|")] for one in (text, other[key])]
            assert keys[0] == keys[1], key


def test_scripts_and_texts_agree():
    named, known = keys_in_scripts(), set(texts("en"))
    for key in named:
        matching = [text for text in known if text == key or (key.endswith("*") and text.startswith(key[:-1]))]
        assert matching, key
    unused = {text for text in known if not any(text == k or (k[-1] == "*" and text.startswith(k[:-1])) for k in named)}
    assert unused == set()


def test_every_protocol_and_label_has_its_words():
    known = texts("en")
    for name, protocol in PROTOCOLS.items():
        for kind in ("welcome", "instructions", "keys", "question", "legend"):
            assert f"{kind}.{name}" in known
        assert f"instructions.check.{protocol.samples}" in known and f"trial.hear.{protocol.samples}" in known
    assert all(f"artifact.{label}" in known for label in ARTIFACT_LABELS)
    assert [key for key in known if key.startswith("scale.smos")] == [
        f"scale.smos.{score}" for score in (5, 4, 3, 2, 1)
    ]
    # A similarity scale, which must not ask for naturalness.
    assert not re.search("natural", " ".join(text for key, text in known.items() if "smos" in key), re.IGNORECASE)
