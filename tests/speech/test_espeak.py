"""Text to sound and phone times; needs the extra `text`."""

import numpy as np
import pytest

from avatar3d.core import AvatarError
from avatar3d.speech.visemes import BILABIALS, STOPS, VOWELS

pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'avatar3d[text]'")

from avatar3d.speech.espeak import say, voices


def _loudness(sound, start, end):
    piece = sound.mono[int(start * sound.rate) : int(end * sound.rate)]
    return float(np.sqrt(np.mean(piece**2))) if len(piece) else 0.0


def test_phones_and_words_of_a_sentence():
    sound, track = say("Mama was happy with her blue lamp, and Peter has fallen.")
    assert track.words[:3] == ("Mama", "was", "happy")
    assert track.words[-1] == "fallen."
    said = "".join(p.phone for p in track.phones if p.word == 0)
    assert said == "mɑmɐ"
    assert track.duration == pytest.approx(sound.seconds, abs=1e-6)
    assert [text for text, _, _ in track.word_times()] == list(track.words)
    assert all(b.start >= a.end - 1e-9 for a, b in zip(track.phones, track.phones[1:], strict=False))


def test_no_letter_of_the_text_is_lost():
    text = "你好，世界。"
    assert "".join(say(text, "cmn")[1].words) == text
    text = "Well, of course: it's 1455!"
    assert " ".join(say(text)[1].words) == text


def test_vowels_sound_and_pauses_do_not():
    sound, track = say("Papa, take a cup of tea. Bob kept it.")
    vowels = np.median([_loudness(sound, p.start, p.end) for p in track.phones if p.phone in VOWELS])
    gaps = [(a.end, b.start) for a, b in zip(track.phones, track.phones[1:], strict=False) if b.start - a.end > 0.05]
    assert gaps, "a comma and a full stop must leave pauses"
    assert max(_loudness(sound, a, b) for a, b in gaps) < 0.1 * vowels


def test_the_silence_of_a_closure_belongs_to_the_stop():
    sound, track = say("happy paper, a cup of coffee")
    for before, p in zip(track.phones, track.phones[1:], strict=False):
        if p.phone in STOPS & {"p", "t", "k"} and before.phone in VOWELS and before.end == p.start:
            assert _loudness(sound, before.end - 0.01, before.end) > 1e-4, (
                f"{before.phone} ends in silence before {p.phone}"
            )
    assert any(p.phone in BILABIALS for p in track.phones)


@pytest.mark.parametrize("voice", ["de", "fr-fr", "es", "it", "cmn", "ja", "ru", "hi", "ar", "ko", "en-gb", "en-us+f3"])
def test_any_language(voice):
    _, track = say("1 2 3 4 5 6 7 8 9", voice)
    assert len(track.phones) > 15
    assert min(p.end - p.start for p in track.phones) > 0.003


def test_same_text_gives_the_same_sound():
    first, second = say("Once more.")[0], say("Once more.")[0]
    assert np.array_equal(first.samples, second.samples)


def test_faster_is_shorter():
    assert (
        say("One two three four five.", rate=300)[0].seconds
        < 0.8 * say("One two three four five.", rate=150)[0].seconds
    )


def test_voices_are_listed():
    assert {"en-us", "de", "fr-fr", "cmn"} <= {v.language for v in voices()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("  ",), "empty"),
        (("a", "xx-yy"), "no voice 'xx-yy'"),
        (("a", "en", 20), "80 to 450"),
        (("a", "en", 170, 120), "0 to 99"),
        (("日本", "ja"), "kana"),
        (("...", "en"), "nothing to say"),
    ],
)
def test_what_cannot_be_said(arguments, said):
    with pytest.raises(AvatarError, match=said) as error:
        say(*arguments)
    assert "\n" not in str(error.value)
