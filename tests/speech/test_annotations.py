"""Phones, words and subtitles in files: every format goes out and comes back, and what is wrong is said in one line."""

import json

import numpy as np
import pytest

from avatar3d.core import AvatarError
from avatar3d.speech.annotations import read_phones, write_phones
from avatar3d.speech.phones import Phone, PhoneTrack
from avatar3d.speech.subtitles import cues, read_subtitles
from avatar3d.speech.visemes import notation_of, read_label, stress

TRACK = PhoneTrack(
    2.0,
    (
        *(Phone("h", 0.1, 0.2, 0), Phone("ə", 0.2, 0.25, 0, 0.85), Phone("l", 0.25, 0.3, 0)),
        *(Phone("oʊ", 0.3, 0.6, 0, 1.2), Phone("m", 1.0, 1.1, 1), Phone("aɪ", 1.1, 1.5, 1)),
    ),
    ("hello", 'my "x"'),
    source="test",
)

SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
0.5
<exists>
2
"IntervalTier"
"words"
0
0.5
1
0
0.5
"my"
"IntervalTier"
"phones"
0
0.5
2
0
0.1
"M"
0.1
0.5
"AY1"
"""


@pytest.mark.parametrize("suffix", [".TextGrid", ".json"])
def test_round_trip(tmp_path, suffix):
    back = read_phones(write_phones(TRACK, tmp_path / f"x{suffix}"))
    assert [(p.phone, p.start, p.end, p.word) for p in back.phones] == [
        (p.phone, p.start, p.end, p.word) for p in TRACK.phones
    ]
    assert back.words == TRACK.words and back.duration == TRACK.duration
    if suffix == ".json":
        assert back.phones == TRACK.phones


def test_posteriors_survive_json(tmp_path):
    shown = TRACK.visemes(100).astype(np.float32)
    made = PhoneTrack(2.0, posteriors=shown, rate=100.0, source="acoustic", about={"lag": 8})
    back = read_phones(write_phones(made, tmp_path / "x.json"))
    assert np.array_equal(back.posteriors, shown) and back.rate == 100 and back.about == {"lag": 8}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_short_textgrid(tmp_path, encoding):
    path = tmp_path / "x.TextGrid"
    path.write_text(SHORT, encoding=encoding)
    track = read_phones(path)
    assert [(p.phone, p.word, p.strength) for p in track.phones] == [("m", 0, 1.0), ("aɪ", 0, 1.2)]
    assert track.words == ("my",)


def test_shared_annotations(shared_data):
    where = shared_data / "audio"
    track = read_phones(where / "polyglot_acoustic_corpus.TextGrid")
    assert track.words[:4] == ("this", "is", "the", "acoustic") and len(track.phones) == 192
    track = read_phones(where / "librivox_austen_0880.phone.json")
    assert " ".join(track.words) == "he was not an ill disposed young man"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.TextGrid", "nothing", "not a TextGrid"),
        ("x.TextGrid", SHORT.replace('"phones"', '"tones"'), "no phone tier among words, tones"),
        ("x.TextGrid", SHORT.replace('"AY1"', '"%%"'), "tier 'phones': label '%%'"),
        ("x.TextGrid", SHORT[: SHORT.index('"AY1"')], "ends where the label"),
        ("x.TextGrid", SHORT.replace('0.1\n0.5\n"AY1"', '0.1\n9.5\n"AY1"'), "from 0.1 to 9.5 s in 0.5 s"),
        ("x.TextGrid", SHORT.replace('"M"', "7"), "7.0 where the label"),
        ("x.json", "{", "not JSON"),
        ("x.json", "[]", "neither"),
        ("x.json", '{"format": "avatar3d-phones", "version": 9}', "version 9"),
        ("x.json", '{"format": "avatar3d-phones", "version": 1, "duration": 1}', "field is missing"),
        ("x.json", '{"b": 0, "d": 1, "w": [{"t": "a", "w": [{"t": "%%", "b": 0, "d": 1}]}]}', "label '%%'"),
        ("x.txt", "a", "come as .TextGrid"),
    ],
)
def test_what_cannot_be_read(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(AvatarError, match=said) as error:
        read_phones(tmp_path / name)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_overlapping_phones_in_a_file_name_the_file(tmp_path):
    path = write_phones(TRACK, tmp_path / "x.json")
    found = json.loads(path.read_text())
    found["phones"][1]["start"] = 0.15
    path.write_text(json.dumps(found))
    with pytest.raises(AvatarError, match=r"x\.json: .*phone 2"):
        read_phones(path)


def test_missing_file(tmp_path):
    for name in ("x.TextGrid", "x.json"):
        with pytest.raises(AvatarError, match="No such file"):
            read_phones(tmp_path / name)


@pytest.mark.parametrize(
    ("labels", "notation", "label", "phones"),
    [
        (["s", "ih", "z"], "arpabet", "ih", ("ɪ",)),
        (["AH0", "B", "AW1", "T"], "arpabet", "AH0", ("ə",)),
        (["tʰ", "aj", "ɟː"], "ipa", "aj", ("a", "j")),
        (["ˈaɪ", "t͡ʃ", "ʁ"], "ipa", "t͡ʃ", ("tʃ",)),
        (["S", "{", "i:", "@U"], "x-sampa", "@U", ("əʊ",)),
        (["a", "<p:>", ""], "ipa", "<p:>", ("sil",)),
    ],
)
def test_notations(labels, notation, label, phones):
    assert notation_of(labels) == notation
    assert read_label(label, notation) == phones


def test_stress():
    assert stress("AH0") < stress("T") < stress("AA2") < stress("AA1") == stress("ˈa")


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
def test_subtitles_round_trip(tmp_path, suffix):
    path = write_phones(TRACK, tmp_path / f"x{suffix}")
    assert path.read_text().startswith("WEBVTT" if suffix == ".vtt" else "1\n00:00:00,100 --> ")
    assert [(c.text, c.start, c.end) for c in read_subtitles(path)] == [
        (c.text, pytest.approx(c.start, abs=1e-3), pytest.approx(c.end, abs=1e-3)) for c in cues(TRACK)
    ]


def test_subtitles_break_at_pauses_sentences_and_length():
    words = ("One.", "two", *["long-word"] * 8)
    phones = tuple(Phone("a", 0.5 * i, 0.5 * i + 0.4, i) for i in range(10))
    made = cues(PhoneTrack(9.0, phones, words))
    assert made[0].text == "One." and max(len(c.text) for c in made) <= 42
    assert len(cues(PhoneTrack(9.0, (phones[0], phones[9]), ("a",) * 10))) == 2


def test_subtitles_of_scripts_without_spaces():
    phones = tuple(Phone("a", 0.2 * i, 0.2 * i + 0.2, i) for i in range(3))
    assert cues(PhoneTrack(1.0, phones, ("你好，", "世", "界。")))[0].text == "你好，世界。"


def test_subtitles_with_tags_and_hours(tmp_path):
    path = tmp_path / "x.vtt"
    path.write_text("WEBVTT\n\nNOTE x\n\n01:02:03.500 --> 01:02:04.000 align:left\n<v Ann>a &amp; b</v>\nc\n")
    (cue,) = read_subtitles(path)
    assert (cue.text, cue.start, cue.end) == ("a & b c", 3723.5, 3724.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [("hello", "no subtitle cue"), ("00:01 --> x\na", "line 1"), ("00:00:02,0 --> 00:00:01,0\na", "before it begins")],
)
def test_bad_subtitles(tmp_path, text, said):
    (tmp_path / "x.srt").write_text(text)
    with pytest.raises(AvatarError, match=said):
        read_subtitles(tmp_path / "x.srt")


def test_subtitles_need_words(tmp_path):
    with pytest.raises(AvatarError, match="no words"):
        write_phones(PhoneTrack(1.0, (Phone("a", 0.1, 0.2),)), tmp_path / "x.srt")
