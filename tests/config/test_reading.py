"""Config files: .json is JSON with Coqui's comments, everything else YAML in which 1e-05 is a number."""

import json
import time

import pytest

from evagan_plugin.config import load_config, read_settings
from evagan_plugin.errors import ConfigError, UsageError
from evagan_plugin.evaluation.scores import load_figures
from evagan_plugin.utils.files import read_json


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ('{"a": 1} // at the end', {"a": 1}),
        (
            '// before\n{"a": "http://x//y", // "b": 2,\n "c": "say \\"// no\\""}',
            {"a": "http://x//y", "c": 'say "// no"'},
        ),
        ('{\n\t"a":\t[1,\n\t2]\n}', {"a": [1, 2]}),
        ('{"eps": 1e-05, "big": 1E5, "off": "off", "yes": "yes", "date": "2020-01-01"}', None),
        ('{"path": "C:\\\\x", "colon": "a: b", "tab": "a\\tb", "é": "\\u00e9"}', None),
    ],
)
def test_a_json_file_is_read_as_json(text, content, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    assert read_settings(path) == (content or json.loads(text))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: 1\nb: 2\n", "line 1: not JSON"),
        ('{"a": 1, // one\n"b": 2,}', "line 2: not JSON"),
        ('{"a": "// unclosed\n}', "line 1: not JSON"),
        ("[" * 100_000, "not JSON"),
        ("1" * 5000, "not JSON"),
        ("", "line 1: not JSON"),
        ("[1]", "a mapping"),
    ],
)
def test_what_is_no_json_is_one_line(text, where, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_settings(path)
    assert str(caught.value).startswith(str(path)) and where in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-05", 1e-5),
        ("1e5", 1e5),
        ("-2E+3", -2000.0),
        ("5.e-1", 0.5),
        (".5e3", 500.0),
        ("'1e5'", "1e5"),
        ("e5", "e5"),
    ],
)
def test_a_power_of_ten_in_yaml_is_a_number(text, value, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"a: {text}\n")
    found = read_settings(path)["a"]
    assert found == value and type(found) is type(value)


def test_a_vocoder_config_takes_powers_of_ten_from_both(tmp_path):
    (tmp_path / "a.yaml").write_text("preset: eva_gan_tiny_16k\nmel: {floor: 1e-05}\n")
    (tmp_path / "b.json").write_text('{"preset": "eva_gan_tiny_16k", // small\n\t"mel": {"floor": 1e-05}}')
    assert load_config(tmp_path / "a.yaml") == load_config(tmp_path / "b.json")
    assert load_config(tmp_path / "a.yaml").mel.floor == 1e-5


def test_figures_are_read_from_whatever_else_a_scores_json_holds(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text('{"systems": {"x": {"metrics": {"a": {"value": 1e-05}, "b": {"value": 2}}}}}')
    assert load_figures(path) == {"x": {"a": 1e-5, "b": 2}}
    for wrong in ('{"value": "1e-05"}', '{"value": [1]}', "{}", "3"):
        path.write_text(f'{{"systems": {{"x": {{"metrics": {{"a": {wrong}}}}}}}}}')
        with pytest.raises(UsageError, match=r"scores\.json: not a scores\.json of"):
            load_figures(path)


def test_a_large_file_takes_no_time(tmp_path):
    path = tmp_path / "scores.json"
    rows = [{"utt_id": f"u{number}", "values": {"a": 1e-5}, "notes": []} for number in range(100_000)]
    path.write_text(json.dumps({"utterances": rows}, indent=1))
    start = time.monotonic()
    assert len(read_json(path)["utterances"]) == 100_000
    assert time.monotonic() - start < 10
