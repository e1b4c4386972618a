"""`PhoneTrack`: its two views agree, and what is wrong with it is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar3d.core import AvatarError
from avatar3d.speech.phones import Phone, PhoneTrack, track_of
from avatar3d.speech.visemes import PHONES, VISEMES, viseme_parts


def _track(*spans, duration=1.0):
    return PhoneTrack(duration, tuple(Phone(*span) for span in spans))


def test_segments_become_visemes():
    shown = _track(("m", 0.2, 0.3), ("aɪ", 0.3, 0.5)).visemes(100)
    assert shown.shape == (100, 15)
    assert np.allclose(shown.sum(1), 1)
    names = [VISEMES[v] for v in shown.argmax(1)]
    assert names[10] == "sil" and names[25] == "PP" and names[35] == "aa" and names[45] == "I" and names[60] == "sil"


def test_a_segment_between_frames_is_not_lost():
    assert _track(("m", 0.201, 0.206)).visemes(25)[5, VISEMES.index("PP")] == pytest.approx(0.005 * 25)


def test_posteriors_become_the_segments_they_came_from():
    made = _track(("m", 0.2, 0.3), ("a", 0.3, 0.5), ("s", 0.6, 0.7))
    back = PhoneTrack(1.0, posteriors=made.visemes(100), rate=100.0).segmented()
    assert [p.phone for p in back.phones] == ["m", "a", "s"]
    assert np.allclose([p.start for p in back.phones], [0.2, 0.3, 0.6], atol=0.011)
    assert np.array_equal(back.visemes(100), made.visemes(100))


def test_a_flicker_is_no_segment():
    shown = _track(("a", 0.1, 0.9)).visemes(100)
    shown[50] = 0
    shown[50, VISEMES.index("PP")] = 0.6
    shown[50, VISEMES.index("aa")] = 0.4
    assert len(PhoneTrack(1.0, posteriors=shown, rate=100.0).segmented().phones) == 1


def test_resampled_posteriors_keep_their_time():
    shown = np.zeros((50, 15))
    shown[:, 0] = 1
    shown[20] = np.eye(15)[1]  # at .4 s
    again = PhoneTrack(1.0, posteriors=shown, rate=50.0).visemes(100)
    assert again.shape == (100, 15) and again[:, 1].argmax() == 40


@given(st.lists(st.tuples(st.sampled_from(PHONES[1:]), st.floats(0.02, 0.3)), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_every_frame_is_shared_out(spans):
    edges = np.cumsum([0.0, *(length for _, length in spans)])
    phones = tuple(Phone(p, float(a), float(b)) for (p, _), a, b in zip(spans, edges, edges[1:], strict=False))
    shown = PhoneTrack(float(edges[-1]), phones).visemes(60.0)
    assert np.allclose(shown.sum(1), 1) and (shown >= 0).all()


def test_words_have_times():
    track = track_of(
        [(("m", "a"), 0.0, 0.2, 0, 1.0), (("sil",), 0.2, 0.5, -1, 1.0), (("p",), 0.5, 0.6, 1, 1.0)], ("ma", "p"), 1.0
    )
    assert track.word_times() == (("ma", 0.0, 0.2), ("p", 0.5, 0.6))
    assert [p.end for p in track.phones] == pytest.approx([0.1, 0.2, 0.6])


def test_shifting():
    moved = _track(("m", 0.1, 0.2), ("a", 0.2, 0.95)).shifted(0.1)
    assert [t for p in moved.phones for t in (p.start, p.end)] == pytest.approx([0.2, 0.3, 0.3, 1.0])


def test_every_phone_shows_something():
    assert all(part in VISEMES for phone in PHONES for part in viseme_parts(phone))


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ([("m", 0.3, 0.2)], "runs from 0.3 to 0.2"),
        ([("m", 0.1, 0.3), ("a", 0.2, 0.4)], "overlaps"),
        ([("m", 0.1, 1.4)], "leaves"),
        ([("qq", 0.1, 0.4)], "not in the inventory"),
        ([("m", 0.1, float("nan"))], "runs from"),
        ([("m", 0.1, 0.2, 3)], "word 3 of 0"),
    ],
)
def test_what_a_track_cannot_be(spans, said):
    with pytest.raises(AvatarError, match=said):
        _track(*spans)


def test_posteriors_need_a_rate():
    with pytest.raises(AvatarError, match="frame rate"):
        PhoneTrack(1.0, posteriors=np.ones((10, 15)) / 15)
