"""Words to edits: the grammar, the word pieces, the encoder where its network is at hand, and what is never guessed."""

from pathlib import Path

import pytest
import torch

from avatar3d import assets, edit
from avatar3d.edit.words import encoder, grammar, understand
from avatar3d.edit.words.encoder import Vocabulary
from avatar3d.edit.words.lexicon import IDIOMS, MEASURES
from avatar3d.edit.words.ops import Asked, ops

HERE = Path(__file__).parent
HELD_OUT = [line.split("\t") for line in (HERE / "held_out.tsv").read_text().splitlines()]
IRRELEVANT = (HERE / "irrelevant.txt").read_text().splitlines()


def heard(text: str) -> list[str]:
    found = understand(text, encoder=False).understood
    return sorted({u.op + ("+" if u.sign > 0 else "-") for u in found})


def test_the_sentence_of_the_manual() -> None:
    result = understand("older, wider smile, green eyes, thinner nose, a bit angry", encoder=False)
    assert not result.missed
    assert [e["kind"] for e in result.edits] == ["shape", "face", "recolour", "shape", "face"]
    assert result.edits[0]["values"]["age"] > 0
    assert result.edits[1]["values"]["AU12"] > 0
    assert result.edits[2]["region"] == "iris"
    assert result.edits[3]["values"]["nose_width"] < 0
    assert result.edits[4]["values"]["browDownLeft"] > 0


@pytest.mark.parametrize(("text", "wanted"), HELD_OUT)
def test_held_out_sentences(text: str, wanted: str) -> None:
    assert heard(text) == sorted(wanted.split())


@pytest.mark.parametrize("text", IRRELEVANT)
def test_what_is_not_about_a_face_is_refused(text: str) -> None:
    result = understand(text, encoder=False)
    assert not result.understood
    assert result.missed


@pytest.mark.parametrize("name", sorted(ops()))
def test_every_operation_makes_an_edit_that_is_known(name: str) -> None:
    for sign in (1, -1):
        if sign < 0 and not ops()[name].minus:
            continue
        made = ops()[name].make(Asked(sign, 0.5, colour="#336699"))
        assert edit.from_json(made).to_json()["kind"] == made["kind"]


def test_tables_name_operations_that_exist() -> None:
    for table in MEASURES.values():
        assert set(table.values()) <= set(ops())
    assert {op for op, _ in IDIOMS.values()} <= set(ops())


def test_amounts_follow_the_words() -> None:
    def width(text: str) -> float:
        return understand(text, encoder=False).edits[0]["values"]["nose_width"]

    faint, usual, strong = width("a slightly wider nose"), width("a wider nose"), width("a very wide nose")
    assert 0 < faint < usual < strong <= 1
    assert width("30% wider nose") == pytest.approx(0.3)
    assert width("a less wide nose") == pytest.approx(-usual)
    assert width("the nose is not so wide") < 0


def test_years_and_degrees_are_taken_as_they_are() -> None:
    assert understand("20 years younger", encoder=False).edits[0]["values"]["age"] == -20
    assert understand("aged by two decades", encoder=False).edits[0]["values"]["age"] == 20
    assert understand("turn the head 25 degrees to the right", encoder=False).edits[0]["values"]["headYaw"] == -25


def test_left_and_right_are_the_persons() -> None:
    assert understand("close the left eye", encoder=False).edits[0] == {"kind": "close", "left_lid": 1.0}
    assert understand("the right eye blue", encoder=False).edits[0]["region"] == "iris_right"
    assert heard("eyes to the right") == ["gaze_yaw-"]


def test_parts_share_what_is_said_of_them() -> None:
    assert heard("make the nose and the chin longer") == ["chin_length+", "nose_length+"]
    assert heard("widen the nostrils and the nose") == ["nose_width+", "nostrils_width+"]
    assert heard("wider and shorter nose") == ["nose_length-", "nose_width+"]


def test_what_is_kept_is_left_alone() -> None:
    result = understand("keep the nose but make the mouth wider", encoder=False)
    assert result.kept == ("keep the nose",)
    assert heard("don't change the eyes") == []


def test_unknown_words_are_said() -> None:
    result = understand("a wider nose for the frobnicator", encoder=False)
    assert result.understood[0].ignored == ("frobnicator",)
    assert any("did not understand: frobnicator" in line for line in result.lines())
    lost = understand("make the gizmo wider", encoder=False)
    assert not lost.understood
    assert "gizmo" in lost.missed[0].why


def test_what_cannot_be_taken_back_is_refused() -> None:
    result = understand("no lipstick", encoder=False)
    assert not result.understood
    assert "cannot be taken back" in result.missed[0].why


def test_the_same_thing_twice_is_done_once() -> None:
    assert len(understand("a delicate, petite nose", encoder=False).understood) == 1


def test_clauses_give_the_direction_for_the_encoder() -> None:
    assert grammar.read("less of a gizmo")[0].sign == -1
    assert grammar.read("more gizmo")[0].sign == 1


def test_word_pieces() -> None:
    pieces = ["[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "cafe", "!"]
    words = Vocabulary({piece: i for i, piece in enumerate(pieces)})
    assert words.pieces("Unaffable café!") == [1, 3, 4, 5, 6, 7, 2]
    assert words.pieces("xyz") == [1, 0, 2]


@pytest.fixture(scope="module")
def network() -> None:
    for name in ("minilm", "minilm-vocabulary"):
        assets.path(name)


@pytest.mark.usefixtures("network")
def test_meaning_is_near_where_words_are_not() -> None:
    a, b, c = encoder.encode(["he looks furious", "a very angry man", "the price of potatoes"])
    assert torch.allclose(a.norm(), torch.ones(()))
    assert float(a @ b) > 0.4 > 0.25 > float(a @ c)


@pytest.mark.usefixtures("network")
def test_phrases_outside_the_lexicon_are_taken_for_the_nearest() -> None:
    result = understand("he is really pissed off")
    assert result.understood[0].op == "emotion:anger"
    assert "pissed off" in result.understood[0].how


@pytest.mark.usefixtures("network")
def test_irrelevant_sentences_are_refused_by_meaning_too() -> None:
    for text in IRRELEVANT[::7]:
        result = understand(text)
        assert not result.understood
        assert result.missed[0].nearest
