"""The shared state: history, sliders, timeline, keyframes; no window."""

import threading
from dataclasses import replace

import pytest
import torch

from avatar3d import store
from avatar3d.core import AvatarError
from avatar3d.studio.cameras import Keyframe, facing
from avatar3d.studio.document import Document
from avatar3d.studio.timeline import Timeline


def test_time_passes_only_while_it_plays() -> None:
    line = Timeline(frames=50, fps=25.0)
    assert line.advanced(1.0) == line
    played = line.played(True)
    assert played.advanced(1.0).frame == 25
    assert replace(played, speed=2.0).advanced(0.5).frame == 25
    assert played.advanced(2.5).frame == 12  # it loops
    once = replace(played, loop=False).advanced(2.5)
    assert (once.frame, once.playing) == (49, False)
    assert once.played(True).frame == 0
    assert line.moved(99).frame == 49 and line.moved(-3).frame == 0
    assert Timeline().moved(5).frame == 0 and not Timeline().played(True).playing


def test_every_change_can_be_undone_and_done_again(small) -> None:
    document = Document(small)
    assert document.steps == (0, 0) and not document.undo()
    wider = replace(small, identity=small.identity + 1)
    document.change(wider)
    document.change(replace(wider, identity=wider.identity + 1))
    assert document.unsaved and document.steps == (2, 0)
    assert document.undo() and document.avatar is wider
    assert document.undo() and document.avatar is small
    assert not document.undo()
    assert document.redo() and document.avatar is wider and document.steps == (1, 1)
    document.change(small)
    assert not document.redo()  # what was undone before another change is gone


def test_a_file_opened_over_work_is_undone_too(small) -> None:
    document = Document(small)
    edited = replace(small, identity=small.identity + 1)
    document.change(edited)
    document.open(replace(small, identity=small.identity - 1))
    document.undo()
    assert document.avatar is edited


def test_a_fit_is_one_step(small) -> None:
    document = Document(small)
    for i in range(5):
        document.grow(replace(small, identity=small.identity + i), first=i == 0)
    assert document.steps == (1, 0)
    document.undo()
    assert document.avatar is small


def test_an_attempt_is_seen_and_dropped(small) -> None:
    document = Document(small)
    tried = replace(small, identity=small.identity + 2)
    document.attempt(tried)
    scene = document.scene()
    assert scene is not None and scene.avatar is tried and scene.before is small
    assert document.avatar is small and document.steps == (0, 0)
    document.attempt(None)
    assert document.scene().avatar is small


def test_sliders_move_both_sides_and_stay_in_range(small) -> None:
    document = Document(small)
    assert document.set("eyeBlinkLeft", 0.4) == {"eyeBlinkLeft": 0.4, "eyeBlinkRight": 0.4}
    document.note(linked=False)
    document.set("eyeBlinkLeft", 7.0)
    assert document.values == {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 0.4}
    document.note(linked=True)
    assert set(document.set("jawLeft", 0.3)) == {"jawLeft"}  # a direction, not a side
    assert document.set("headYaw", -500) == {"headYaw": -60.0}
    with pytest.raises(AvatarError, match="jawOpen"):
        document.set("jawOpne", 0.1)
    document.set_all({"jawOpen": 0.5, "of another head": 1.0, "browInnerUp": 0.0})
    assert document.values == {"jawOpen": 0.5}


def test_sliders_add_to_the_performance(small) -> None:
    document = Document(small)
    jaw = 24
    assert document.performing and document.timeline.frames == len(small.motion)
    document.run(document.timeline.moved(5))
    seen = float(document.scene().pose.expression[jaw])
    document.set("jawOpen", 0.2)
    assert float(document.scene().pose.expression[jaw]) == pytest.approx(seen + 0.2)
    document.set_performing(False)
    pose = document.scene().pose
    assert float(pose.expression[jaw]) == pytest.approx(0.2) and torch.equal(pose.root, torch.eye(4))


def test_the_performance_stands_at_the_origin(small) -> None:
    document = Document(small)
    assert float(document.scene().pose.root[:3, 3].norm()) < 1e-4  # the clip's head is 0.8 m before the camera
    camera = document.camera()
    assert camera is not None and float(camera.position[2]) == pytest.approx(0.8, abs=1e-4)


def test_saving_asks_before_it_replaces_and_keeps_the_keyframes(small, tmp_path) -> None:
    document, path = Document(small), tmp_path / "me.a3d"
    document.note(keyframes=(Keyframe(facing(20, 5), 1.5, {"jawOpen": 0.5}, 3),))
    assert document.unsaved
    document.save(path)
    assert not document.unsaved and document.path == path
    before = path.read_bytes()
    document.set("jawOpen", 1.0)
    with pytest.raises(AvatarError, match="there already"):
        document.save(path)
    assert path.read_bytes() == before
    document.save(path, overwrite=True)
    again = Document(store.load(path), path)
    assert again.keyframes == document.keyframes
    again.note(keyframes=())
    assert "studio" not in again.to_save().about


def test_damaged_keyframes_are_left_out(small) -> None:
    for wrong in ({"keyframes": [{"eye": 3}]}, {"keyframes": 7}, "no", {"keyframes": [None]}):
        assert Document(replace(small, about={**small.about, "studio": wrong})).keyframes == ()


def test_many_hands_at_once_lose_nothing(small) -> None:
    document = Document(small)
    started = document.version

    def work(k: int) -> None:
        for i in range(50):
            document.set("jawOpen", (i % 10) / 10)
            document.change(replace(small, identity=small.identity + k))
            document.scene()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert document.version == started + 400
    assert document.steps == (100, 0)
    while document.undo():
        pass
    assert document.redo()


def test_nothing_open_says_so() -> None:
    document = Document()
    assert document.scene() is None and document.camera() is None
    for act in (document.known, document.to_save, lambda: document.set("jawOpen", 1.0)):
        with pytest.raises(AvatarError, match="no avatar is open"):
            act()
