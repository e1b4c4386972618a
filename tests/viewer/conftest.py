"""The player in a real browser: Debian's Chromium, with Mesa's software renderer or Chromium's own."""

import base64
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import UInt8

from avatar3d.core import Avatar, Basis
from avatar3d.export import html

CHROMIUM = os.environ.get("AVATAR3D_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
_QUIET = ("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking")
_FLAGS = (*_QUIET, "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required")
LLVMPIPE = ("--use-gl=angle", "--use-angle=gl-egl", "--ignore-gpu-blocklist")
DEVICES = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


@dataclass
class Opened:
    """A page with what it said and asked for."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def call(self, script: str, argument: Any = None) -> Any:
        """Evaluates a JavaScript function in the page."""
        return self.page.evaluate(script, argument)

    def until(self, condition: str, argument: Any = None, seconds: float = 60) -> Any:
        """Waits until a JavaScript function is true. (Playwright's own waiting evaluates text; the page forbids it.)"""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.page.evaluate(condition, argument):
                return found
            self.page.wait_for_timeout(30)
        raise AssertionError(f"never true: {condition}; the page says: {self.page.locator('.toast').text_content()}")

    def drop(self, *files: Path) -> None:
        """Drops files on the page."""
        listed = [[p.name, base64.b64encode(p.read_bytes()).decode()] for p in files]
        self.page.evaluate(
            """(files) => {
              const data = new DataTransfer();
              for (const [name, text] of files)
                data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
              const target = document.querySelector('canvas');
              for (const kind of ['dragenter', 'dragover', 'drop'])
                target.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
            }""",
            listed,
        )

    def toast(self) -> str:
        """Returns what the page told last."""
        return self.page.locator(".toast").text_content()

    def pixels(self) -> UInt8[np.ndarray, "h w 4"]:
        """Returns what is on the canvas when everything is settled, RGBA."""
        width, height, text = self.page.evaluate(
            """async () => {
              await player.settle();
              const p = player.pixels(), c = document.querySelector('canvas');
              let s = '';
              for (let i = 0; i < p.length; i += 8192) s += String.fromCharCode(...p.subarray(i, i + 8192));
              return [c.width, c.height, btoa(s)];
            }"""
        )
        return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)[::-1]


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("no Chromium found; install it, or set AVATAR3D_CHROMIUM to it")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    with playwright.sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def chromium(driver) -> Iterator[Any]:
    """A browser with fake camera and microphone, drawing by llvmpipe."""
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*_FLAGS, *LLVMPIPE, *DEVICES])
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def swiftshader(driver) -> Iterator[Any]:
    """A browser that draws by Chromium's own software renderer."""
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*_FLAGS])
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def puppet(doll) -> Avatar:
    """The doll with blendshapes of its splats and colours that depend on the view: all that a player must draw."""
    n = len(doll.gaussians)
    draw = torch.Generator().manual_seed(3)
    fine = torch.randn(n, 3, 3, generator=draw) * 0.08
    gaussians = replace(doll.gaussians, sh=torch.cat([doll.gaussians.sh, fine], 1))
    inputs, k = 52 + 18, 4
    layers = (
        torch.randn(8, inputs, generator=draw) * 0.4,
        torch.randn(8, generator=draw) * 0.2,
        torch.randn(k, 8, generator=draw) * 0.5,
        torch.randn(k, generator=draw) * 0.1,
    )
    some = (torch.arange(n) % 3 > 0).float()[None, :, None]
    basis = Basis(*(torch.randn(k, n, c, generator=draw) * 0.15 * some for c in (3, 4, 3)), layers)
    return replace(doll, gaussians=gaussians, basis=basis)


@pytest.fixture(scope="session")
def small(puppet) -> Avatar:
    """The puppet with few splats: quick to draw without a graphics card."""
    kept = torch.arange(0, len(puppet.gaussians), 6)
    wide = replace(puppet.gaussians.gather(kept), log_scales=puppet.gaussians.log_scales[kept] + 0.8)
    return replace(puppet, gaussians=wide, binding=puppet.binding.gather(kept), basis=puppet.basis.gather(kept))


@pytest.fixture(scope="session")
def pages(tmp_path_factory) -> Callable[[Avatar | None], Path]:
    """Writes pages, each once."""
    made: dict[int, Path] = {}
    folder = tmp_path_factory.mktemp("pages")

    def write(avatar: Avatar | None) -> Path:
        if id(avatar) not in made:
            path = folder / f"page{len(made)}.html"
            path.write_text(html.page(None if avatar is None else html.content_of(avatar)))
            made[id(avatar)] = path
        return made[id(avatar)]

    return write


def _complaint(message: Any) -> bool:
    """Whether the console shows an error or a warning; that reading pixels back is slow is the tests' own doing."""
    return message.type in ("error", "warning") and "ReadPixels" not in message.text


@pytest.fixture
def opened(chromium, pages) -> Iterator[Callable[..., Opened]]:
    """Opens pages from disk; fails at the end if one of them complained or asked another computer for something."""
    contexts, seen = [], []

    def go(avatar: Avatar | None, query: str = "?ui=0", size: tuple[int, int] = (320, 240), **context: Any) -> Opened:
        browser = context.pop("browser", chromium)
        contexts.append(browser.new_context(viewport={"width": size[0], "height": size[1]}, **context))
        contexts[-1].set_default_timeout(60_000)
        result = Opened(contexts[-1].new_page())
        seen.append(result)
        result.page.on("console", lambda m: result.said.append(m.text) if _complaint(m) else None)
        result.page.on("pageerror", lambda e: result.said.append(str(e)))
        result.page.on("request", lambda r: result.asked.append(r.url))
        result.page.goto(pages(avatar).as_uri() + query)
        result.until("() => !!window.player")
        result.page.evaluate("player.ready")
        return result

    yield go
    for context in contexts:
        context.close()
    for result in seen:
        assert not result.said
        assert all(url.startswith(("file://", "blob:", "data:")) for url in result.asked), result.asked
