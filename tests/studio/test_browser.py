"""The studio in a real browser: Debian's Chromium without a graphics card. Few tests, each walks far."""

import base64
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from avatar3d import store

CHROMIUM = os.environ.get("AVATAR3D_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = ("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync")
_DRAWING = ("--disable-component-update", "--use-gl=angle", "--use-angle=gl-egl", "--ignore-gpu-blocklist")
_KNOWN = ("THREE.Clock", "ReadPixels", "Software WebGL", "GPU stall")
"""What viser's page and software rendering say whatever happens."""


class Tab:
    """A page with what it said and asked for."""

    def __init__(self, context: Any, url: str) -> None:
        self.page = context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.said.append(m.text) if _complaint(m) else None)
        self.page.on("pageerror", lambda e: self.said.append(str(e)))
        self.page.on("request", lambda r: self.asked.append(r.url))
        self.page.goto(url, wait_until="commit")
        self.page.get_by_text("splats").first.wait_for()

    def shot(self) -> np.ndarray:
        """Returns what is on the screen."""
        return np.asarray(Image.open(BytesIO(self.page.screenshot())).convert("RGB")).astype(int)

    def until(self, condition: Callable[[], Any], seconds: float = 120.0) -> Any:
        """Waits until something is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            self.page.wait_for_timeout(100)
        raise AssertionError(f"never true; the page said {self.said}")

    def drop(self, path: Path) -> None:
        """Drops a file on the page."""
        self.page.evaluate(
            """([name, text]) => {
              const data = new DataTransfer();
              data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
              for (const kind of ['dragenter', 'dragover', 'drop'])
                document.body.dispatchEvent(
                  new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
            }""",
            [path.name, base64.b64encode(path.read_bytes()).decode()],
        )


def _complaint(message: Any) -> bool:
    return message.type in ("error", "warning") and not any(known in message.text for known in _KNOWN)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("no Chromium found; install it, or set AVATAR3D_CHROMIUM to it")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=[*_FLAGS, *_DRAWING])
        yield browser
        browser.close()


@pytest.fixture
def tabs(chromium) -> Iterator[Callable[..., Tab]]:
    """Opens pages; fails at the end if one complained or asked another computer for something."""
    contexts, opened = [], []

    def go(url: str, size: tuple[int, int] = (560, 420), **more: Any) -> Tab:
        contexts.append(chromium.new_context(viewport={"width": size[0], "height": size[1]}, **more))
        contexts[-1].set_default_timeout(180_000)
        opened.append(Tab(contexts[-1], url))
        return opened[-1]

    yield go
    for context in contexts:
        context.close()
    for tab in opened:
        assert not tab.said
        local = ("http://127.0.0.1:", "blob:", "data:")
        assert all(url.startswith(local) for url in tab.asked), tab.asked


def shows_the_head(tab: Tab) -> bool:
    """Whether the left half of the screen shows more than the background."""
    image = tab.shot()
    half = image[:, : image.shape[1] // 2]
    return bool((np.abs(half - 255).max(-1) > 60).mean() > 0.05)


def test_two_tabs_work_on_one_avatar_and_one_may_go(studio, tabs, small, tmp_path) -> None:
    store.save(small, tmp_path / "doll.a3d")
    running = studio(tmp_path / "doll.a3d")
    document = running.document
    first = tabs(running.url)
    first.until(lambda: shows_the_head(first))
    second = tabs(running.url)
    first.until(lambda: len(running.stream.visitors) == 2)

    # a slider that is moved in one tab moves in the other
    first.page.get_by_role("tab", name="Time").first.click()
    second.page.get_by_role("tab", name="Time").first.click()
    second.page.get_by_text("frame 1 of 6").first.wait_for()
    first.page.get_by_text("1 ▶").first.click()
    second.page.get_by_text("frame 2 of 6").first.wait_for()

    # a file dropped on the page drives the avatar
    motion = tmp_path / "talk.json"
    frames = [{"weights": [0.1 * i], "time": i / 25} for i in range(9)]
    motion.write_text(json.dumps({"names": ["jawOpen"], "fps": 25, "frames": frames}))
    first.drop(motion)
    first.until(lambda: document.timeline.frames == 9)
    second.page.get_by_text("of 9").first.wait_for()

    # one tab is closed: the other, and the work, go on
    first.page.close()
    second.until(lambda: len(running.stream.visitors) == 1)
    assert document.timeline.frames == 9
    second.page.get_by_text("Pause").first.click()
    second.until(lambda: not document.timeline.playing)

    # a file that is no avatar is refused with a reason, and nothing is lost
    (tmp_path / "broken.a3d").write_bytes(b"nonsense")
    second.drop(tmp_path / "broken.a3d")
    second.page.get_by_text("not an avatar3d file").first.wait_for()
    assert document.avatar is not None and shows_the_head(second)


def test_a_phone_shows_the_head_above_the_sheet(studio, tabs, small, tmp_path) -> None:
    store.save(small, tmp_path / "doll.a3d")
    running = studio(tmp_path / "doll.a3d")
    running.document.set_performing(False)
    phone = tabs(running.url, (390, 844), is_mobile=True, has_touch=True)
    phone.until(lambda: running.stream.visitors and running.stream.visitors[0].sharp)

    def centred() -> bool:
        image = phone.shot()
        ink = np.abs(image[60:700] - 255).max(-1) > 60
        columns = np.flatnonzero(ink.any(0))
        return len(columns) > 150 and abs(columns.mean() - image.shape[1] / 2) < 40

    phone.until(centred)
