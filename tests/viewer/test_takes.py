"""Performances made in the page: recorded, set by keys, saved, and read again by Python and the page."""

import json

import numpy as np
import pytest

from avatar3d import motions
from avatar3d.motions import livelink

DESKTOP = (740, 300)


def _saved(page, tmp_path, button: str):
    with page.page.expect_download() as saved:
        page.page.get_by_role("button", name=button).click()
    path = tmp_path / saved.value.suggested_filename
    saved.value.save_as(path)
    return path


def test_a_take_is_recorded_and_plays(opened, small, tmp_path) -> None:
    page = opened(small, "?loop=0", DESKTOP)
    page.page.locator("#tab-Takes").click()
    page.page.get_by_role("button", name="Record a performance").click()
    page.call(
        """() => new Promise((done) => {
          const start = performance.now(), step = () => {
            const t = (performance.now() - start) / 1000;
            player.set({ jawOpen: Math.min(1, t), headYaw: 20 * Math.min(1, t), mouthSmileLeft: 0.3 });
            t < 1 ? requestAnimationFrame(step) : done();
          };
          step();
        })"""
    )
    page.page.get_by_role("button", name="Stop and play it").click()
    duration = page.call("() => player.duration")
    assert 0.9 < duration < 3
    page.until("() => player.time > 0.2")  # it plays by itself
    page.call("() => player.apply({ play: false })")
    values = [page.call("(t) => (player.seek(t), player.get('jawOpen'))", t) for t in (0.1, 0.5, 0.9)]
    assert values == sorted(values) and values[0] < 0.4 and values[2] > 0.6
    assert page.call("() => player.get('mouthSmileLeft')") == pytest.approx(0.3, abs=0.01)
    motion = motions.read(_saved(page, tmp_path, "Save as JSON"))
    found = page.call(
        "() => ({ e: [...player.motion.expression], j: [...player.motion.joints], n: player.motion.frames })"
    )
    assert len(motion) == found["n"] and motion.fps == 30
    np.testing.assert_allclose(motion.pose.expression.numpy().ravel(), found["e"], atol=1e-6)
    np.testing.assert_allclose(motion.pose.joints.numpy().ravel(), found["j"], atol=1e-6)
    assert motion.pose.joints[-1, :2, 1].sum() > 0.25  # 20 degrees, by neck and head


def test_a_saved_csv_is_live_link_s_and_comes_back(opened, small, tmp_path) -> None:
    page = opened(small, "", DESKTOP)
    page.page.locator("#tab-Takes").click()
    truth = page.call(
        "() => ({ e: [...player.motion.expression], j: [...player.motion.joints], n: player.motion.frames })"
    )
    path = _saved(page, tmp_path, "Save as CSV")
    assert path.read_text().splitlines()[0] == livelink.HEADER
    again = motions.read(path, fps=25.0)
    assert len(again) == truth["n"]
    np.testing.assert_allclose(again.pose.expression.numpy().ravel(), truth["e"], atol=1e-5)
    page.drop(path)
    page.until("() => document.querySelector('[aria-label=Time]').title.endsWith('.csv')")
    back = page.call("() => [...player.motion.expression]")
    np.testing.assert_allclose(back, truth["e"], atol=1e-5)


def test_keys_make_a_motion(opened, small) -> None:
    page = opened(small, "?time=0", DESKTOP)
    page.call("() => player.apply({ time: null })")
    page.page.locator("#tab-Takes").click()
    add = page.page.get_by_role("button", name="Add a key")
    page.call("() => player.set({ jawOpen: 0 })")
    add.click()
    page.call("() => player.set({ jawOpen: 0.8, headYaw: 20 })")
    add.click()
    page.call("() => player.set({ jawOpen: 0.2, headYaw: null })")
    add.click()
    assert page.page.locator(".keys li").count() == 3
    page.call("() => player.reset()")
    assert page.call("() => player.duration") == pytest.approx(2, abs=0.05)
    jaws = [page.call("(t) => (player.seek(t), player.get('jawOpen'))", t) for t in (0, 0.5, 1, 1.5, 1.99)]
    assert jaws == pytest.approx([0, 0.4, 0.8, 0.5, 0.2], abs=0.02)
    page.page.get_by_role("button", name="1.0 s", exact=True).click()  # its face, to be changed
    assert page.call("() => player.get('headYaw')") == pytest.approx(20)
    page.call("() => player.set({ jawOpen: 0.6 })")
    add.click()
    page.call("() => (player.reset(), player.seek(1))")
    assert page.page.locator(".keys li").count() == 3
    assert page.call("() => player.get('jawOpen')") == pytest.approx(0.6, abs=0.01)
    page.page.get_by_role("button", name="Remove the key at 1.0 seconds").click()
    assert page.page.locator(".keys li").count() == 2


def test_python_s_motions_and_the_page_s_json_agree(opened, small, tmp_path) -> None:
    """What the page saves of a motion that it was given is that motion."""
    motions.write(small.motion, tmp_path / "take.json")
    page = opened(small)
    page.call("([t, n]) => player.loadMotion(t, n)", [(tmp_path / "take.json").read_text(), "take.json"])
    text = page.call("() => player.saveMotion('json')")
    ours, theirs = json.loads(text), json.loads((tmp_path / "take.json").read_text())
    assert ours["names"] == theirs["names"] and ours["joints"] == theirs["joints"] and ours["fps"] == theirs["fps"]
    for a, b in zip(ours["frames"], theirs["frames"], strict=True):
        for name in ("time", "weights", "rotation", "joints", "root"):
            np.testing.assert_allclose(np.ravel(a[name]), np.ravel(b[name]), atol=2e-6)
