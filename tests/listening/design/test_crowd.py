"""Who may take part and where they go: what is refused, in one line, and the links and codes that follow from it."""

import pytest
import yaml

from evagan_plugin.errors import ConfigError, UsageError
from evagan_plugin.listening.design.crowd import Crowd
from evagan_plugin.listening.design.design import load_design
from evagan_plugin.listening.design.tokens import links
from evagan_plugin.listening.web.server import Address

BACK = "https://app.prolific.com/submissions/complete?cc=C1A2B3"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"completion_url": "app.prolific.com/submissions/complete?cc=C1"}, "not an address such as https://"),
        ({"completion_url": "https://"}, "not an address such as https://"),
        ({"completion_url": "https://its.name/a b"}, "not an address such as https://"),
        ({"completion_url": "javascript:alert(1)"}, "not an address such as https://"),
        ({"completion_url": "http://its.name/done"}, "must begin with https://"),
        ({"completion_url": "https://app.prolific.com/submissions/complete"}, "complete[?]cc=CODE"),
        ({"completion_url": "https://app.prolific.com/researcher/studies/5f?cc=C1"}, "complete[?]cc=CODE"),
        ({"completion_url": BACK, "completion_code": "OTHER"}, "says code 'C1A2B3', the completion code is 'OTHER'"),
        ({"completion_code": " "}, "the completion code is empty"),
        ({"max_raters": 0}, "must be 1 or more, not 0"),
        ({"place_minutes": 0}, "more than 0 minutes, not 0"),
    ],
)
def test_what_cannot_be_is_one_line(fields, says):
    with pytest.raises(UsageError, match=says):
        Crowd(**fields)


def test_the_code_is_the_urls_or_the_tests_or_the_raters_own():
    assert Crowd(completion_url=BACK).code_of("OWN") == "C1A2B3"
    assert Crowd(completion_code="SAID").code_of("OWN") == "SAID"
    assert Crowd(completion_url="https://its.name/done").code_of("OWN") == Crowd().code_of("OWN") == "OWN"


def test_the_test_file_keeps_it_and_a_file_without_it_is_read(make_test):
    crowd = Crowd(prolific=True, completion_url=BACK, max_raters=30)
    made = make_test(count=1, training_items=0, checks=0, crowd=crowd)
    assert made.design.crowd == crowd
    path = made.folder / "test.yaml"
    content = yaml.safe_load(path.read_text())
    older = {name: value for name, value in content.items() if name != "crowd"}
    path.write_text(yaml.safe_dump(older))
    assert load_design(made.folder).crowd == Crowd()
    path.write_text(yaml.safe_dump(older | {"crowd": {"completion_url": "https://app.prolific.com/"}}))
    with pytest.raises(UsageError, match=r"test\.yaml: completion URL"):
        load_design(made.folder)
    path.write_text(yaml.safe_dump(older | {"crowd": {"max_ratters": 3}}))
    with pytest.raises(ConfigError, match=r"test\.yaml: crowd\.max_ratters"):
        load_design(made.folder)


def test_the_study_link_has_prolifics_placeholders_before_the_secret():
    tokens = {"admin": "a", "join": "j"}
    placeholders = "PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID={{%STUDY_ID%}}&SESSION_ID={{%SESSION_ID%}}"
    assert links("https://its.name/t/", tokens, [], prolific=True).join == f"https://its.name/t/?{placeholders}#join=j"
    assert links("https://its.name/t", tokens, []).join == "https://its.name/t/#join=j"


def test_the_path_of_the_address_is_where_the_test_stands():
    assert Address(url="https://its.name/listening/test1/").root_path == "/listening/test1"
    assert Address(url="https://its.name").root_path == Address().root_path == ""
    for url, says in (("its.name/test1", "not an address"), ("https://its.name/?a=1", "without [?] and #")):
        with pytest.raises(UsageError, match=says):
            Address(url=url)
