"""Ways into the player that other tests do not take: mouse, wheel, every parameter of the address, the clipboard."""

import io

import numpy as np
import pytest
from PIL import Image

DESKTOP = (740, 300)


def changed(page, before: np.ndarray) -> float:
    return float(np.abs(page.pixels().astype(int) - before).mean())


def test_mouse_and_wheel_move_the_camera(opened, small) -> None:
    page = opened(small, "?background=white", DESKTOP)
    mouse, front = page.page.mouse, page.pixels()
    mouse.move(200, 150)
    mouse.down()
    mouse.move(280, 130, steps=3)
    mouse.up()
    turned = page.pixels()
    assert changed(page, front) > 2
    mouse.wheel(0, -300)
    page.page.wait_for_timeout(100)
    assert changed(page, turned) > 2
    nearer = page.pixels()
    page.page.keyboard.down("Shift")
    mouse.down()
    mouse.move(330, 190, steps=3)
    mouse.up()
    page.page.keyboard.up("Shift")
    assert changed(page, nearer) > 2
    mouse.dblclick(200, 150)  # back to the front
    assert changed(page, front) < 0.01


def test_every_parameter_of_the_address_works(opened, small) -> None:
    plain = opened(small, "?ui=0&background=white&theme=light").pixels()
    for query in (
        "yaw=40",
        "pitch=25",
        "fov=60",
        "zoom=2",
        "scale=0.3",
        "layer=normals",
        "view=below",
        "set=jawOpen=1",
    ):
        page = opened(small, f"?ui=0&background=white&{query}")
        assert changed(page, plain) > 0.2, query
        page.page.context.close()
    page = opened(small, "?ui=0&time=0.1&loop=0&speed=0.25&adapt=0&theme=dark")
    assert page.call("() => player.time") == pytest.approx(0.1)
    assert page.call("() => document.documentElement.dataset.theme") == "dark"
    page.call("() => player.play()")
    page.until("() => player.time === player.duration")  # and stays there
    playing = opened(small, "?ui=0&play=1&blink=1&idle=1")
    playing.until("() => player.time > 0")


def test_a_picture_is_a_background_and_the_snippet_is_copied(opened, small, tmp_path) -> None:
    Image.new("RGB", (64, 48), (20, 200, 40)).save(tmp_path / "green.png")
    page = opened(small, "", DESKTOP, permissions=["clipboard-read", "clipboard-write"])
    page.drop(tmp_path / "green.png")
    page.until("() => { const p = player.pixels(); return p[p.length - 3] === 200; }")
    page.page.locator("#tab-Share").click()
    page.page.get_by_role("button", name="Copy").first.click()
    page.until("() => document.querySelector('.toast').textContent === 'Copied'")
    snippet = page.page.get_by_label("Embed snippet").input_value()
    assert "<iframe" in snippet and "ui=0" in snippet and ".html" in snippet
    picture = page.call(
        """async () => {
          const bytes = new Uint8Array(await (await player.picture()).arrayBuffer());
          return [...bytes];
        }"""
    )
    assert Image.open(io.BytesIO(bytes(picture))).getpixel((2, 2))[:3] == (20, 200, 40)
    page.page.get_by_role("button", name="Light or dark").click()
    assert tuple(page.pixels()[2, 2, :3]) == (20, 200, 40)  # what somebody chose stays


def test_colours_stay_when_a_motion_is_loaded(opened, small, tmp_path) -> None:
    page = opened(small, "", DESKTOP)
    page.page.locator("#tab-Look").click()
    page.call(
        "() => { const s = document.querySelector('[data-region=skin]'); s.value = 1;"
        " s.dispatchEvent(new Event('input')); }"
    )
    text = page.call("() => player.saveMotion('csv')")
    page.call("(t) => player.loadMotion(t, 'again.csv')", text)
    assert page.call("() => document.querySelector('[data-region=skin]').value") == "1"


def test_the_renderers_agree_and_layers_fall_back_to_webgl(opened, small) -> None:
    frames = {}
    for renderer in ("gpu", "cpu"):
        page = opened(small, f"?ui=0&background=white&set=jawOpen:0.5&renderer={renderer}")
        frames[renderer] = page.pixels()
        page.call("() => player.apply({ layer: 'depth' })")
        frames[renderer, "depth"] = page.pixels()
        page.call("() => player.apply({ layer: 'splats', background: 'none' })")
        frames[renderer, "clear"] = page.pixels()
        assert page.call("() => player.stats.order") >= 0
    assert np.abs(frames["gpu"].astype(int) - frames["cpu"]).mean() < 1
    assert np.array_equal(frames["gpu", "depth"], frames["cpu", "depth"])
    assert np.abs(frames["gpu", "clear"].astype(int) - frames["cpu", "clear"]).mean() < 1  # transparency, too
    assert (frames["cpu", "clear"][..., 3] < 5).any() and (frames["cpu", "clear"][..., 3] > 250).any()
