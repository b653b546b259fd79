"""What the command line accepts as audio, and every way in which two sources do not fit."""

import pytest
from metric_signals import make_voice, write_corpus

from evagan_plugin.data.systems import common_sample_rate, match, parse_systems, read_categories, read_source
from evagan_plugin.errors import UsageError
from evagan_plugin.evaluation.metrics.catalogue import SETS, select_metrics

VOICE = make_voice(0.1)


def test_directory_and_wav_scp_give_the_same_files(tmp_path):
    folder = write_corpus(tmp_path / "audio", {"a": VOICE, "b c": VOICE})
    scp = tmp_path / "data" / "wav.scp"
    scp.parent.mkdir()
    scp.write_text(f"a {folder}/a.wav\nb_c {folder}/b c.wav\n")
    assert read_source(folder) == {"a": folder / "a.wav", "b_c": folder / "b c.wav"}
    assert read_source(scp) == read_source(folder)
    assert read_source(scp.parent) == read_source(scp)


def test_files_of_one_stem_are_told_apart_by_their_folders_or_refused(tmp_path):
    write_corpus(tmp_path / "one", {"a": VOICE})
    write_corpus(tmp_path / "two", {"a": VOICE})
    assert list(read_source(tmp_path)) == ["one-a", "two-a"]
    (tmp_path / "one" / "a.flac").write_bytes(b"")
    with pytest.raises(UsageError, match="one utterance id, 'one-a'"):
        read_source(tmp_path)


@pytest.mark.parametrize(
    ("name", "reason"), [("nothing", "does not exist"), ("", "no audio files"), ("x.txt", "no audio by its name")]
)
def test_a_place_without_audio_is_refused(tmp_path, name, reason):
    (tmp_path / "x.txt").write_text("text")
    with pytest.raises(UsageError, match=reason):
        read_source(tmp_path / name)


def test_systems_are_named_by_hand_or_by_folder(tmp_path):
    odd = tmp_path / "a=b"
    odd.mkdir()
    arguments = ["exp/hifigan/", "eva=exp/other", "exp/vocos/wav.scp", str(odd)]
    assert parse_systems(arguments) == {
        "hifigan": "exp/hifigan/",
        "eva": "exp/other",
        "vocos": "exp/vocos/wav.scp",
        "a=b": str(odd),
    }
    with pytest.raises(UsageError, match="two systems are called 'wav': give them names"):
        parse_systems(["x/wav", "y/wav"])
    with pytest.raises(UsageError, match="not PATH or NAME=PATH"):
        parse_systems(["=x"])


def test_what_only_one_side_has_is_listed(tmp_path):
    reference = write_corpus(tmp_path / "ref", {"a": VOICE, "b": VOICE})
    system = write_corpus(tmp_path / "hyp", {"b": VOICE, "c": VOICE})
    items, unmatched = match(reference, {"hyp": system})
    assert [item.utt_id for item in items] == ["b"]
    assert {(entry.utt_id, entry.reason) for entry in unmatched} == {
        ("a", "no audio of this system"),
        ("c", "not in the reference"),
    }


def test_sources_without_a_common_utterance_are_refused(tmp_path):
    reference = write_corpus(tmp_path / "ref", {"a": VOICE})
    system = write_corpus(tmp_path / "hyp", {"a_gen": VOICE})
    with pytest.raises(UsageError, match="share no utterance: ids such as 'a' and 'a_gen'"):
        match(reference, {"hyp": system})


def test_two_files_are_of_one_utterance(tmp_path):
    folder = write_corpus(tmp_path / "audio", {"take": VOICE, "take_copy": VOICE, "other": VOICE})
    take, copy = folder / "take.wav", folder / "take_copy.wav"
    assert parse_systems([str(copy)]) == {"take_copy": str(copy)}
    [item], unmatched = match(take, {"copy": copy, "folder": folder})
    assert (item.utt_id, item.reference, item.hypotheses) == ("take", take, {"copy": copy, "folder": take})
    assert {entry.utt_id for entry in unmatched} == {"other", "take_copy"}
    with pytest.raises(UsageError, match="share no utterance"):
        match(write_corpus(tmp_path / "two", {"a": VOICE, "b": VOICE}), {"copy": copy})


def test_sample_rates_must_agree(tmp_path):
    reference = write_corpus(tmp_path / "ref", {"a": VOICE}, 22050)
    system = write_corpus(tmp_path / "hyp", {"a": VOICE}, 24000)
    items, _ = match(reference, {"hyp": system})
    with pytest.raises(UsageError, match=r"22050 Hz \(the reference, 'a'\); 24000 Hz \(hyp, 'a'\)"):
        common_sample_rate(items)


def test_categories_come_from_a_manifest(tmp_path):
    manifest = tmp_path / "manifest.tsv"
    manifest.write_text("utt_id\tpath\tcategory\na\tx\tspeech\nb\ty\tdrums\n")
    assert read_categories(manifest) == {"a": "speech", "b": "drums"}
    manifest.write_text("utt_id\tcategory\nb c\tspeech\n")
    assert read_categories(manifest) == {"b_c": "speech"}, "as a file of that name is called"
    manifest.write_text("utt_id\tpath\na\tx\n")
    with pytest.raises(UsageError, match="no column category"):
        read_categories(manifest)
    manifest.write_text("utt_id\tcategory\na\n")
    with pytest.raises(UsageError, match="1 columns, its head has 2"):
        read_categories(manifest)


@pytest.mark.parametrize("categories", [{}, {"a": "speech"}, {"a": "speech", "b": ""}])
def test_a_manifest_names_every_utterance(tmp_path, categories):
    reference = write_corpus(tmp_path / "ref", {"a": VOICE, "b": VOICE})
    with pytest.raises(UsageError, match=r"the manifest has no category for \d of 2 utterances of .*: .*b$"):
        match(reference, {"hyp": reference}, categories)
    items, _ = match(reference, {"hyp": reference}, {"a": "speech", "b": "drums", "c": "music"})
    assert [item.category for item in items] == ["speech", "drums"]


def test_metrics_are_chosen_by_set_name_and_network():
    assert {metric.name for metric in select_metrics()} == set(SETS["fast"])
    assert [metric.name for metric in select_metrics("log_mel_l1, m_stft")] == ["m_stft", "log_mel_l1"]
    full = {metric.name for metric in select_metrics("fast", periodicity="full")}
    assert {"periodicity_rmse", "vuv_f1", "pitch_rmse_cents"} < full
    assert not any(name.endswith("_tiny") for name in full)
    assert {"periodicity_rmse_tiny"} < {metric.name for metric in select_metrics("full", periodicity="tiny")}


@pytest.mark.parametrize(
    ("wanted", "network", "reason"),
    [("pesk_wb", None, "did you mean 'pesq_wb'"), ("", None, "no metric"), ("fast", "ful", "did you mean 'full'")],
)
def test_unknown_metrics_name_the_nearest(wanted, network, reason):
    with pytest.raises(UsageError, match=reason):
        select_metrics(wanted, network)


def test_unreadable_files_leave_the_rate_to_the_others(tmp_path):
    reference = write_corpus(tmp_path / "ref", {"a": VOICE, "b": VOICE})
    (reference / "a.wav").write_bytes(b"RIFF")
    items, _ = match(reference, {"hyp": write_corpus(tmp_path / "hyp", {"a": VOICE, "b": VOICE})})
    assert common_sample_rate(items) == 22050
    (reference / "b.wav").write_bytes(b"")
    items, _ = match(reference, {"again": reference})
    with pytest.raises(UsageError, match=r"can be read \(again, 'b' is .*b\.wav\)$"):
        common_sample_rate(items)
