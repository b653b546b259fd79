"""Configs: presets, overrides, and one precise line for everything that is wrong."""

import dataclasses

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from evagan_plugin.config import (
    MelStatistics,
    VocoderConfig,
    VocosConfig,
    build_config,
    config_difference,
    config_to_dict,
    dump_config,
    list_presets,
    load_config,
    load_preset,
)
from evagan_plugin.config.aliases import REPORTED
from evagan_plugin.errors import ConfigError


@pytest.mark.parametrize("name", list_presets())
def test_preset_survives_a_round_trip_through_yaml(name, tmp_path):
    config = load_preset(name)
    dump_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


def test_the_issue_of_presets_is_complete():
    assert {
        "eva_gan_base_44k",
        "eva_gan_big_44k",
        "eva_gan_base_24k",
        "eva_gan_big_24k",
        "eva_gan_base_22k",
        "eva_gan_mini_16k",
        "eva_gan_tiny_16k",
        "eva_gan_tiny_16k_causal",
        "eva_gan_tiny_22k",
        "firefly_gan_base_44k",
        "hifigan_v1_22k",
    } == set(list_presets())


def test_an_override_changes_its_field_alone():
    base = load_preset("eva_gan_base_44k")
    config = build_config({"preset": "eva_gan_base_44k", "generator": {"context": {"drop_path": 0.3}}})
    assert config.generator.context.drop_path == 0.3
    assert config.generator.context.dims == base.generator.context.dims
    assert config_difference(config_to_dict(base), config_to_dict(config)) == [
        "generator.context.drop_path: 0.1 != 0.3"
    ]


@pytest.mark.parametrize(
    ("yaml_text", "check"),
    [
        ("generator: {context: none}", lambda c: c.generator.context is None),
        ("generator: {activation: leaky_relu}", lambda c: c.generator.activation == "leaky_relu"),
        ("balancer: off", lambda c: c.balancer is None and c.weights["mel"] == 45.0),
        ("losses: {adversarial: 0, feature_matching: 0}", lambda c: c.weights == {"mel": 500.0}),
        ("generator: {checkpointing: true}", lambda c: c.generator.checkpointing),
        ("training: {segment_frames: 32}", lambda c: c.training.segment_frames == 32),
        ("balancer: {epsilon: 1e-10}", lambda c: c.balancer.epsilon == 1e-10),
    ],
)
def test_ablations_are_config_lines(yaml_text, check):
    assert check(build_config({"preset": "eva_gan_base_24k", **yaml.safe_load(yaml_text)}))


BASE = {"preset": "eva_gan_base_44k"}


@pytest.mark.parametrize(
    ("settings_", "field"),
    [
        ({"preset": "eva_gan_bas_44k"}, "preset"),
        (BASE | {"generatr": {}}, "generatr"),
        (BASE | {"generator": {"chanels": 3}}, "generator.chanels"),
        (BASE | {"generator": {"upsample_rates": [4, 4]}}, "generator.upsample_rates"),
        (BASE | {"generator": {"upsample_rates": [2, 2, 2, 1]}}, "generator.upsample_rates.3"),
        (BASE | {"mel": {"f_max": 30000}}, "mel"),
        (BASE | {"mel": {"win_length": 4096}}, "mel.win_length"),
        (BASE | {"generator": {"pre_kernel": 4}}, "generator.pre_kernel"),
        (BASE | {"generator": {"channels": 100}}, "generator.channels"),
        (BASE | {"generator": {"activation": "relu"}}, "generator.activation"),
        (BASE | {"generator": {"context": {"dims": [8], "depths": [1, 1]}}}, "generator.context.dims"),
        (BASE | {"losses": {"mel": float("nan")}}, "losses.mel"),
        (BASE | {"losses": {"mel": 0, "adversarial": 0, "feature_matching": 0}}, "losses"),
        (BASE | {"discriminators": {"mpd": "none", "mrd": "none"}}, "discriminators.mpd"),
        (BASE | {"training": {"segment_frames": 1}}, "training"),
        (BASE | {"training": {"discriminator_frames": 999}}, "training.discriminator_frames"),
        ({"mel": {}}, "generator"),
        (BASE | {"generator": 3}, "generator"),
        (3, None),
    ],
)
def test_errors_name_the_field_in_one_line(settings_, field):
    with pytest.raises(ConfigError) as caught:
        build_config(settings_)
    assert caught.value.field == field
    assert str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"preset": "eva_gan_bas_44k"}, "unknown preset 'eva_gan_bas_44k': did you mean 'eva_gan_base_44k'? Known: "),
        (
            BASE | {"generator": {"chanels": 3}},
            "unknown config field 'generator.chanels': did you mean 'channels'? Known: activation, causal, channels, ",
        ),
        (
            BASE | {"generator": {"upsample_rates": [4, 4]}},
            "generator.upsample_rates 4 x 4 = 16 is not mel.hop_length 512",
        ),
        (BASE | {"mel": {"f_max": 30000}}, "mel: bands must lie within 0 to 22050 Hz, not f_min 0, f_max 30000"),
        (BASE | {"generator": {"pre_kernel": 4}}, "generator: pre_kernel 4 must be odd"),
        (BASE | {"generator": {"channels": 100}}, "generator: channels 100 cannot be halved 7 times"),
        (BASE | {"discriminators": {"mpd": "none", "mrd": "none"}}, "discriminators: mpd and mrd are both none: "),
        (BASE | {"training": {"segment_frames": 1}}, "training items of 1 frames (512 samples) are too short for an "),
        ({"mel": {}}, "config field 'generator' is missing: give it, or start from a preset (preset: NAME)"),
    ],
)
def test_errors_say_what_to_do(settings_, words):
    with pytest.raises(ConfigError) as caught:
        build_config(settings_)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("content", ["", "- 1\n", "a: [", "{a: 1", "\x00", "a: b: c", "preset: nope"])
def test_a_file_that_is_no_config_is_one_line_with_its_path(content, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path)) and str(caught.value).count(str(path)) == 1
    assert "\n" not in str(caught.value)


def test_a_file_adds_its_path_and_keeps_the_field(tmp_path):
    (tmp_path / "config.yaml").write_text("preset: eva_gan_mini_16k\ngenerator: {channels: 3}\n")
    with pytest.raises(ConfigError, match=r"config\.yaml: generator: channels 3") as caught:
        load_config(tmp_path / "config.yaml")
    assert caught.value.field == "generator.channels"


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("given_", "weights"),
    [
        ({}, (500.0, 2.0, 1.0, 0.0)),
        ({"balancer": "off"}, (45.0, 2.0, 1.0, 0.0)),
        ({"balancer": {}}, (500.0, 2.0, 1.0, 0.0)),
        ({"losses": {"mel": 7}}, (7.0, 2.0, 1.0, 0.0)),
        ({"losses": {"mel": 7}, "balancer": "off"}, (7.0, 2.0, 1.0, 0.0)),
        ({"losses": {"adversarial": 3, "stft": 4}}, (500.0, 2.0, 3.0, 4.0)),
        ({"losses": {"adversarial": 3, "stft": 4}, "balancer": "off"}, (45.0, 2.0, 3.0, 4.0)),
        ({"losses": {"mel": None}, "balancer": {"decay": 0.9}}, (500.0, 2.0, 1.0, 0.0)),
    ],
)
@pytest.mark.parametrize("preset", ["eva_gan_mini_16k", "firefly_gan_base_44k"])
def test_losses_are_the_weights_and_their_defaults_follow_from_the_balancer(preset, given_, weights, tmp_path):
    config = build_config({"preset": preset} | given_)
    assert weights_of(config) == weights
    assert config.weights.get("stft", 0.0) == weights[3] and config.weights["adv_mrd"] == weights[2]
    dump_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("old", "weights"),
    [
        ({"balancer": {"shares": {"mel": 500, "feature_matching": 4, "adversarial": 3, "stft": 2}}}, (500, 4, 3, 2)),
        ({"balancer": {"shares": {"mel": 8}}, "losses": {"mel": 45, "adversarial": 9}}, (8, 2, 1, 0)),
        ({"balancer": {"shares": {"feature_matching": 0, "adversarial": 5}}}, (45, 0, 5, 0)),
        ({"preset": "hifigan_v1_22k", "balancer": {"shares": {"adversarial": 2}}}, (45, 2, 2, 0)),
    ],
)
def test_shares_of_an_old_config_keep_their_meaning(old, weights, tmp_path, caplog):
    """They took the place of ``losses``, and HiFi-GAN's coefficient in the place of a share that was not given."""
    REPORTED.clear()
    for _ in range(2):
        config = build_config({"preset": "eva_gan_mini_16k", **old})
    assert weights_of(config) == weights and config.balancer == load_preset("eva_gan_mini_16k").balancer
    assert [record.getMessage() for record in caplog.records] == [
        "config field 'balancer.shares' is now 'losses': its values are used as before; please rename it"
    ]
    dump_config(config, tmp_path / "config.yaml")
    assert "shares" not in (tmp_path / "config.yaml").read_text()
    assert load_config(tmp_path / "config.yaml") == config and len(caplog.records) == 1


def test_a_renamed_field_opens_under_its_old_name(tmp_path, caplog):
    REPORTED.clear()
    config = build_config({"preset": "eva_gan_mini_16k", "generator": {"normalise": True, "channels": 256}})
    assert config.generator.normalize and config.generator.channels == 256
    assert "'generator.normalise' is now 'generator.normalize'" in caplog.text
    dump_config(config, tmp_path / "config.yaml")
    assert "normalise" not in (tmp_path / "config.yaml").read_text()
    with pytest.raises(ConfigError) as caught:
        build_config({"preset": "eva_gan_mini_16k", "generator": {"normalise": "much"}})
    assert caught.value.field == "generator.normalize"


@pytest.mark.parametrize("reuse", [True, False])
def test_a_field_that_is_gone_is_passed_over(reuse, tmp_path, caplog):
    REPORTED.clear()
    path = tmp_path / "config.yaml"
    settings = {"preset": "eva_gan_mini_16k", "training": {"reuse_forward": reuse, "segment_frames": 64}}
    path.write_text(yaml.safe_dump(settings))
    for _ in range(2):
        config = load_config(path)
    assert config == build_config({"preset": "eva_gan_mini_16k", "training": {"segment_frames": 64}})
    assert [record.getMessage() for record in caplog.records] == [
        "config field 'training.reuse_forward' has no effect any more: please leave it out"
    ]
    with pytest.raises(ConfigError) as caught:
        build_config({"preset": "eva_gan_mini_16k", "training": {"reuse_forwards": True}})
    assert caught.value.field == "training.reuse_forwards"


@pytest.mark.parametrize("shares", [3, None, [1], {"mell": 1}, {"mel": -1}])
def test_wrong_shares_of_an_old_config_are_an_error_of_losses(shares):
    with pytest.raises(ConfigError) as caught:
        build_config({"preset": "eva_gan_mini_16k", "balancer": {"shares": shares}})
    assert caught.value.field.split(".")[0] == "losses"


def weights_of(config):
    losses = config.losses
    return losses.mel, losses.feature_matching, losses.adversarial, losses.stft


FIELDS = {
    field.name: [f.name for f in dataclasses.fields(kind)]
    for field, kind in (
        (field, type(getattr(load_preset("eva_gan_mini_16k"), field.name)))
        for field in dataclasses.fields(VocoderConfig)
        if field.name not in ("mel_statistics", "vocos")
    )
} | {
    name: [field.name for field in dataclasses.fields(kind)]
    for name, kind in {"mel_statistics": MelStatistics, "vocos": VocosConfig}.items()
}
scalars = st.none() | st.booleans() | st.integers(-10, 5000) | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
sections = st.fixed_dictionaries(
    {},
    optional={
        name: values | st.dictionaries(st.sampled_from(fields) | st.text(max_size=6), values, max_size=3)
        for name, fields in FIELDS.items()
    },
)


@settings(max_examples=400, deadline=None)
@given(overrides=sections, preset=st.sampled_from([None, "eva_gan_mini_16k", "hifigan_v1_22k"]))
def test_any_settings_give_a_config_or_one_line(overrides, preset):
    try:
        config = build_config(({"preset": preset} if preset else {}) | overrides)
    except ConfigError as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert build_config(config_to_dict(config)) == config


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=60) | st.text(alphabet="ab:-[]{}&*!|>'\"%@,#? \n\t0.~", max_size=40).map(str.encode))
def test_any_file_gives_a_config_or_one_line(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"generator": {"channels": 99999999999}}, "generator.channels"),
        ({"generator": {"context": {"dims": [32], "depths": [1000003]}}}, "generator.context.depths.0"),
        ({"generator": {"context": {"dims": [1000003], "depths": [1]}}}, "generator.context.dims.0"),
        ({"mel": {"n_fft": 2**30}}, "mel.n_fft"),
        ({"mel": {"n_mels": 5000}}, "mel.n_mels"),
        ({"generator": {"post_kernel": 1000003}}, "generator.post_kernel"),
    ],
)
def test_a_slip_of_the_finger_is_told_before_memory_is_taken(settings, field):
    with pytest.raises(ConfigError, match="less than or equal to") as caught:
        build_config({"preset": "eva_gan_mini_16k"} | settings)
    assert caught.value.field == field
