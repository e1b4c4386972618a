"""What people do with the player: sliders, timeline, looks, keys."""

import numpy as np
import pytest

from avatar3d import heads
from avatar3d.render.path import TURNS

DESKTOP = (740, 300)  # pixels: wider than the phone layout, and little to draw


def slide(page, name: str, value: float) -> None:
    page.call(
        """([name, value]) => {
          const input = document.querySelector(`input[data-name="${name}"]`);
          input.value = value;
          input.dispatchEvent(new Event('input', { bubbles: true }));
        }""",
        [name, value],
    )


def test_every_slider_moves_its_own_name(opened, small) -> None:
    page = opened(small, "?theme=dark", DESKTOP)
    page.page.get_by_role("button", name="Move left and right together").click()
    names = [*heads.load("anny").expressions, *TURNS]
    assert page.page.locator("input[data-name]").count() == len(names) == 57
    rest = page.pixels()
    for i, name in enumerate(names):
        slide(page, name, 0.5 if i % 2 else 0.25)
    shown = page.call("() => player.values()")
    assert all(shown[name] == pytest.approx(0.5 if i % 2 else 0.25) for i, name in enumerate(names[:52]))
    assert np.abs(page.pixels().astype(int) - rest).max() > 60
    page.page.get_by_role("button", name="Reset everything").click()
    assert not any(page.call("() => player.values()").values())
    assert np.abs(page.pixels().astype(int) - rest).max() <= 1


def test_sides_move_together_and_search_finds(opened, small) -> None:
    page = opened(small, "", DESKTOP)
    slide(page, "mouthSmileLeft", 0.7)
    assert page.call("() => player.get('mouthSmileRight')") == pytest.approx(0.7)
    slide(page, "jawLeft", 0.4)  # a direction, not a side
    assert page.call("() => player.get('jawRight')") == 0
    page.page.get_by_role("searchbox").fill("smile")
    shown = page.page.locator("details .row:visible label").all_text_contents()
    assert shown == ["Mouth smile · left", "Mouth smile · right"]
    page.page.get_by_role("searchbox").fill("eyeBlink")
    assert page.page.locator("details .row:visible").count() == 2


def test_presets_glide_there_and_back(opened, small) -> None:
    page = opened(small, "", DESKTOP)
    page.page.locator("[data-preset=Happy]").click()
    page.until("() => player.get('mouthSmileLeft') > 0.74")
    page.page.locator("[data-preset=U]").click()  # a mouth shape leaves the eyes as they are
    page.until("() => player.get('mouthPucker') > 0.74 && player.get('mouthSmileLeft') === 0")
    assert page.call("() => player.get('cheekSquintLeft')") > 0.5
    page.page.locator("[data-preset=Neutral]").click()
    page.until("() => Object.values(player.values()).every((x) => x === 0)")


def test_the_timeline_plays_scrubs_and_stops(opened, small) -> None:
    page = opened(small, "?loop=0", DESKTOP)
    assert page.call("() => player.duration") == pytest.approx(6 / 25)
    page.page.get_by_label("Speed").select_option("0.1")
    page.page.get_by_role("button", name="Play", exact=True).click()
    page.until("() => player.time > 0.02")
    page.page.get_by_role("button", name="Pause", exact=True).click()
    held = page.call("() => player.time")
    page.page.wait_for_timeout(100)
    assert page.call("() => player.time") == held
    page.call(
        "() => { const s = document.querySelector('[aria-label=Time]'); s.value = 0.16;"
        " s.dispatchEvent(new Event('input')); }"
    )
    assert page.call("() => player.time") == pytest.approx(0.16)
    assert page.call("() => player.get('jawOpen')") == pytest.approx(0.4, abs=1e-3)  # frame 4 of 0 to 0.5
    page.page.keyboard.press(",")  # a frame back; its button is on wider pages
    assert page.call("() => player.get('jawOpen')") == pytest.approx(0.3, abs=1e-3)
    page.call("() => player.set({ jawOpen: 0.9 })")  # by hand wins; null gives it back
    assert page.call("() => player.get('jawOpen')") == pytest.approx(0.9)
    page.call("() => player.set({ jawOpen: null })")
    page.page.get_by_label("Speed").select_option("2")
    page.call("() => player.play()")
    page.until("() => player.time === player.duration")  # without the loop it stops at the end
    page.page.get_by_role("button", name="Rest pose").click()
    assert page.call("() => player.time") is None
    assert page.call("() => player.get('jawOpen')") == 0


def test_layers_colours_and_backgrounds_show(opened, small) -> None:
    page = opened(small, "?background=%23ffffff", DESKTOP)
    page.page.locator("#tab-Look").click()
    plain = page.pixels()
    assert tuple(plain[20, 20]) == (255, 255, 255, 255)
    seen = {"splats": plain}
    for layer in ("points", "depth", "normals", "regions"):
        page.page.locator(f"[data-value={layer}]").click()
        seen[layer] = page.pixels()
        assert all(np.abs(seen[layer].astype(int) - seen[x]).mean() > 1 for x in seen if x != layer), layer
    page.page.locator("[data-value=splats]").click()
    assert np.abs(page.pixels().astype(int) - plain).max() <= 1
    page.call(
        "() => { const s = document.querySelector('[data-region=skin]'); s.value = 1;"
        " s.dispatchEvent(new Event('input')); }"
    )
    tinted = page.pixels()
    assert np.abs(tinted.astype(int) - plain).mean() > 1
    page.page.get_by_role("button", name="Transparent").click()
    page.until("() => { const p = player.pixels(); return p[p.length - 1] === 0; }")  # top right
    page.page.get_by_role("button", name="¾ left").click()
    assert np.abs(page.pixels().astype(int) - tinted).mean() > 1


def test_the_keyboard_alone_is_enough(opened, small) -> None:
    page = opened(small, "", DESKTOP)
    press = page.page.keyboard.press
    page.page.locator("canvas").first.focus()
    front = page.pixels()
    for _ in range(6):
        press("ArrowRight")
    press("-")
    assert np.abs(page.pixels().astype(int) - front).mean() > 0.5
    press("1")
    press(" ")
    page.until("() => player.time > 0")
    press(" ")
    press("Home")
    assert page.call("() => player.time") == 0
    press("/")
    page.page.keyboard.type("jaw open")
    press("Tab")  # link
    for _ in range(8):
        press("Tab")
        if page.call("() => document.activeElement.dataset.name") == "jawOpen":
            break
    for _ in range(5):
        press("ArrowRight")
    assert page.call("() => player.get('jawOpen')") == pytest.approx(0.05, abs=0.011)
    press("Delete")
    assert page.call("() => player.get('jawOpen')") == 0
    press("?")
    assert page.page.get_by_role("dialog").is_visible()
    press("Escape")
    page.page.locator("#tab-Face").focus()
    press("ArrowRight")
    assert page.page.locator("#tab-Look").get_attribute("aria-selected") == "true"
    press("h")
    assert not page.page.get_by_label("Controls", exact=True).is_visible()


def test_everything_has_a_name_for_screen_readers(opened, small) -> None:
    page = opened(small, "", DESKTOP)
    nameless = page.call(
        """() => [...document.querySelectorAll('button, input, select, textarea, canvas, video')].filter((e) => {
          const label = e.id && document.querySelector(`label[for="${e.id}"]`);
          return !(e.getAttribute('aria-label') || e.getAttribute('aria-hidden') || label || e.closest('label') ||
                   e.hidden || e.textContent.trim());
        }).map((e) => e.outerHTML)"""
    )
    assert nameless == []


def test_signs_of_life_go_on_and_off(opened, small) -> None:
    page = opened(small, "?idle=1&blink=1", DESKTOP)
    page.until("() => player.get('headYaw') !== 0")
    page.until("() => player.get('eyeBlinkLeft') > 0")
    page.call("() => player.apply({ idle: false, blink: false })")
    assert page.call("() => player.get('headYaw')") == 0
    assert page.call("() => player.get('eyeBlinkLeft')") == 0


def test_a_phone_shows_head_and_controls(opened, small) -> None:
    page = opened(small, "", (360, 640), has_touch=True, is_mobile=True)
    canvas, panel = (page.page.locator(x).first.bounding_box() for x in (".view", ".panel"))
    assert canvas["width"] == panel["width"] == 360
    assert canvas["height"] > 300 and panel["height"] > 250
    assert page.call("() => document.documentElement.scrollWidth") == 360
    front = page.pixels()
    page.call(
        """() => {
          const canvas = document.querySelector('canvas'), at = (id, x, y) =>
            ({ pointerId: id, clientX: x, clientY: y, bubbles: true, pointerType: 'touch' });
          canvas.setPointerCapture = () => {};
          const send = (kind, ...where) => canvas.dispatchEvent(new PointerEvent(kind, at(...where)));
          send('pointerdown', 1, 100, 150); send('pointerdown', 2, 200, 150);
          send('pointermove', 2, 260, 150); send('pointermove', 2, 320, 150);
          send('pointerup', 1, 100, 150); send('pointerup', 2, 320, 150);
        }"""
    )
    assert np.abs(page.pixels().astype(int) - front).mean() > 2  # two fingers apart come nearer
