"""A running studio: visitors come, go and hammer; what fails takes nothing along."""

import urllib.error
import urllib.request

import numpy as np
import pytest

from avatar3d import store
from avatar3d.core import AvatarError
from avatar3d.edit import KINDS
from avatar3d.studio.pictures import Look, picture


@pytest.fixture
def saved(small, tmp_path):
    path = tmp_path / "doll.a3d"
    store.save(small, path)
    return path


def sharp(studio, guest):
    """Waits until a visitor sees what there is, in full size."""
    visitor = guest.until(lambda: next((v for v in studio.stream.visitors if v.eye is not None), None))
    guest.until(lambda: visitor.sharp and visitor.shown[0] == studio.document.version)
    guest.until(lambda: guest.pictures and guest.image().shape[:2] == guest.size[::-1])
    return guest.image()


def test_a_visitor_sees_the_renderers_picture(studio, guest, saved) -> None:
    running = studio(saved)
    one = guest(running)
    image = sharp(running, one)
    visitor = running.stream.visitors[0]
    truth = picture(running.document.scene(), visitor.eye.camera(*visitor.size), Look(), running.document.camera())
    error = np.square(image.astype(float) - truth).mean()
    assert 10 * np.log10(255**2 / error) > 30  # a JPEG of quality 92 lies between


def test_two_tabs_share_the_avatar_and_not_the_camera(studio, guest, saved) -> None:
    running = studio(saved)
    first, second = guest(running), guest(running, size=(100, 64))
    first.until(lambda: sum(v.eye is not None for v in running.stream.visitors) == 2)
    second.turn(60)

    def sides() -> dict[tuple[int, int], float]:
        return {v.size: abs(v.eye.position[0]) for v in running.stream.visitors}

    first.until(lambda: sides()[100, 64] > 0.3)
    assert sides()[96, 80] < 1e-3
    first.until(lambda: all(v.sharp for v in running.stream.visitors))
    sent = len(first.pictures), len(second.pictures)
    running.document.set("jawOpen", 0.8)
    first.until(lambda: len(first.pictures) > sent[0] and len(second.pictures) > sent[1])


def test_a_closed_tab_loses_nothing(studio, guest, saved) -> None:
    running = studio(saved)
    one = guest(running)
    one.until(lambda: running.stream.visitors and running.stream.visitors[0].eye is not None)
    running.document.set("jawOpen", 0.7)
    running.document.change(running.document.known())
    running.stream.restyle(next(iter(running.stream._visitors)), draw="mesh")
    one.leave()
    one.until(lambda: not running.stream.visitors)
    assert running.document.values == {"jawOpen": 0.7} and running.document.steps == (1, 0)
    again = guest(running)
    again.until(lambda: running.stream.visitors and running.stream.visitors[0].sharp)
    assert running.stream.visitors[0].look.draw == "mesh"  # the next one goes on where the last one was


def test_a_burst_of_requests_and_moves(studio, guest, saved) -> None:
    running = studio(saved)
    one = guest(running)
    for i in range(200):
        one.turn(1.0)
        if i % 4 == 0:
            with urllib.request.urlopen(running.url + f"?{i}", timeout=30) as answer:
                assert answer.status == 200
        running.document.set("jawOpen", i / 200)
    visitor = running.stream.visitors[0]
    one.until(lambda: visitor.sharp and visitor.shown == (running.document.version, visitor.turn))
    assert running.document.values["jawOpen"] == pytest.approx(199 / 200)
    x, _, z = visitor.eye.position
    assert np.degrees(np.arctan2(x, z + 0.02)) == pytest.approx(200 - 360, abs=0.5)
    assert not visitor.failed


def test_other_sites_are_refused(studio, guest, saved) -> None:
    running = studio(saved)
    for host in ("evil.example", "evil.example:80", ""):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(running.url, headers={"Host": host}), timeout=10)
        assert refused.value.code in (400, 403)
    with pytest.raises(Exception, match="403"):
        guest(running, origin="http://evil.example")
    with pytest.raises(Exception, match="403"):
        guest(running, origin=running.url.replace("127.0.0.1", "localhost.evil.example").rstrip("/"))
    guest(running, origin=running.url.rstrip("/"))
    with urllib.request.urlopen(running.url, timeout=10) as page:
        text = page.read().decode()
        assert page.headers["X-Frame-Options"] == "DENY"
    assert "dataTransfer" in text and "<title>avatar3d studio</title>" in text


def test_no_visitor_can_open_a_tunnel(studio, saved) -> None:
    from viser import _messages

    running = studio(saved)
    handlers = running.server._websock_server._incoming_handlers
    assert not handlers.get(_messages.ShareUrlRequest)


def test_a_taken_port_is_said(studio, saved) -> None:
    running = studio(saved)
    with pytest.raises(AvatarError, match="--port 0"):
        studio(saved, port=running.server.get_port())
    with pytest.raises(AvatarError, match="65535"):
        studio(saved, port=70000)
    with pytest.raises(AvatarError, match="no such file"):
        studio(saved.with_name("none.a3d"))


def test_what_a_picture_cannot_be_made_of_is_said_and_passes(studio, guest, saved, monkeypatch) -> None:
    from avatar3d.studio import stream

    running = studio(saved)
    one = guest(running)
    sharp(running, one)
    whole = stream.picture
    monkeypatch.setattr(stream, "picture", lambda *_: 1 / 0)
    one.turn()
    visitor = running.stream.visitors[0]
    one.until(lambda: "ZeroDivisionError" in visitor.failed)
    monkeypatch.setattr(stream, "picture", whole)
    one.turn()
    one.until(lambda: not visitor.failed and visitor.sharp)


def test_the_windows_sliders_reach_the_avatar(studio, guest, saved) -> None:
    running = studio(saved)
    one, two = guest(running), guest(running)
    handles = running.server.gui._gui_input_handle_from_uuid.values()
    by_name = {getattr(h, "label", ""): h for h in handles} | {getattr(h, "hint", ""): h for h in handles}
    one.until(lambda: len(running.stream.visitors) == 2)
    one.update(by_name["eyeBlinkLeft"], 0.6)
    one.until(lambda: running.document.values == {"eyeBlinkLeft": 0.6, "eyeBlinkRight": 0.6})
    one.until(lambda: by_name["eyeBlinkRight"].value == 0.6)  # the other side follows
    two.update(by_name["Search"], "brow inner")
    one.until(lambda: not by_name["jawOpen"].visible and by_name["browInnerUp"].visible)
    two.update(by_name["Search"], "")
    one.until(lambda: by_name["jawOpen"].visible)
    one.update(by_name["Preset"], "Happy")
    one.until(lambda: running.document.values.get("mouthSmileLeft") == 0.75)
    one.update(by_name["Frame"], 4)
    one.until(lambda: running.document.timeline.frame == 4)
    assert not two.error


def test_unsaved_work_is_kept_when_it_ends(studio, saved, small) -> None:
    running = studio(saved)
    running.document.change(running.document.known())
    kept = running.close()
    assert kept is not None and kept.name == "doll.unsaved.a3d"
    assert len(store.load(kept).gaussians) == len(small.gaussians)
    other = studio(saved)
    assert other.close() is None


def test_edits_come_from_words_numbers_and_forms(studio, guest, saved, small) -> None:
    running = studio(saved)
    one, document = guest(running), running.document
    handles = list(running.server.gui._gui_input_handle_from_uuid.values())

    def labelled(label, which=0):
        return [h for h in handles if getattr(h, "label", "") == label][which]

    one.until(lambda: running.stream.visitors)
    one.update(labelled("Say what to change"), "a thinner nose")
    one.update(labelled("Show"), True)
    one.until(lambda: document.scene().avatar is not document.avatar)  # seen, not done
    assert document.steps == (0, 0)
    one.update(labelled("Apply", 0), True)
    one.until(lambda: len(document.avatar.edits) == 1)
    one.update(labelled("Say what to change"), "colourless green ideas sleep furiously")
    one.update(labelled("Apply", 0), True)
    one.until(lambda: any("Notification" in name for name in one.names))  # said, nothing done
    assert len(document.avatar.edits) == 1

    value = labelled("How much")
    one.update(value, value.max)
    one.until(lambda: document.scene().avatar is not document.avatar)
    one.update(labelled("Apply", 1), True)
    one.until(lambda: len(document.avatar.edits) == 2)

    one.update(labelled("Kind"), "shape")
    examples = KINDS["shape"].examples()
    one.until(lambda: labelled("Example").options[1:] == tuple(examples))
    one.update(labelled("Example"), next(iter(examples)))
    fields = running.server.gui._gui_input_handle_from_uuid
    wanted = next(iter(examples.values())).to_json()["values"]
    one.until(lambda: any(str(h.value).startswith(next(iter(wanted))) for h in list(fields.values())))
    one.update(labelled("Apply", 2), True)
    one.until(lambda: len(document.avatar.edits) == 3 and document.avatar.edits[2]["kind"] == "shape")
    document.undo()
    one.update(labelled("Undo"), True)
    one.until(lambda: len(document.avatar.edits) == 1)
    one.update(labelled("Redo"), True)
    one.until(lambda: len(document.avatar.edits) == 2)
    while document.undo():
        pass
    assert np.array_equal(document.avatar.identity, small.identity) and not document.avatar.edits
    assert not one.error
