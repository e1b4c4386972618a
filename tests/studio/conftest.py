"""A small avatar, and studios on free ports with visitors that speak viser's protocol without a browser."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avatar3d.core import Avatar


@pytest.fixture(scope="session")
def small(doll) -> Avatar:
    """The doll with a tenth of its splats."""
    kept = torch.arange(0, len(doll.gaussians), 10)
    wide = replace(doll.gaussians.gather(kept), log_scales=doll.gaussians.log_scales[kept] + 1.0)
    return replace(doll, gaussians=wide, binding=doll.binding.gather(kept))


class Guest:
    """A visitor: connects as the page does, tells a camera, and keeps what it is sent."""

    def __init__(self, url: str, size: tuple[int, int] = (96, 80), origin: str | None = None) -> None:
        self.url, self.size, self.origin = url, size, origin
        self.pictures: list[bytes] = []
        self.names: list[str] = []
        self.error: Exception | None = None
        self._turn = 0
        self._loop = asyncio.new_event_loop()
        self._socket: Any = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(30)
        if self.error is not None:
            raise self.error

    def turn(self, degrees: float = 10.0) -> None:
        """Moves the camera around the head."""
        self._turn += degrees
        self._send(self._camera())

    def update(self, handle: Any, value: Any) -> None:
        """Does what somebody does to a handle of the window."""
        self._send({"type": "GuiUpdateMessage", "uuid": handle._impl.uuid, "updates": {"value": value}})

    def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        """Waits until something is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.02)
        raise AssertionError(f"never true; {len(self.pictures)} pictures, {sorted(set(self.names))}")

    def image(self) -> np.ndarray:
        """Returns the last picture."""
        import cv2

        return np.asarray(cv2.imdecode(np.frombuffer(self.pictures[-1], np.uint8), cv2.IMREAD_COLOR))[..., ::-1]

    def leave(self) -> None:
        """Closes the tab."""
        asyncio.run_coroutine_threadsafe(self._socket.close(), self._loop)
        self._thread.join(20)

    def _camera(self) -> dict[str, Any]:
        from avatar3d.studio.cameras import TARGET, facing

        eye = facing(self._turn, 0.0)
        return {
            "type": "ViewerCameraMessage",
            "wxyz": list(eye.wxyz),
            "position": list(eye.position),
            "fov": eye.fov,
            "near": 0.01,
            "far": 100.0,
            "image_height": self.size[1],
            "image_width": self.size[0],
            "look_at": list(TARGET),
            "up_direction": [0.0, 1.0, 0.0],
        }

    def _send(self, message: dict[str, Any]) -> None:
        import msgspec

        data = msgspec.msgpack.encode(message)
        asyncio.run_coroutine_threadsafe(self._socket.send(data), self._loop).result(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._talk())
        except Exception as error:
            self.error = error
            self._ready.set()

    async def _talk(self) -> None:
        import msgspec
        import viser
        import websockets
        import zstandard

        more = {"origin": self.origin} if self.origin else {}
        address = self.url.replace("http", "ws")
        async with websockets.connect(
            address, subprotocols=[f"viser-v{viser.__version__}"], max_size=None, **more
        ) as self._socket:
            await self._socket.send(msgspec.msgpack.encode(self._camera()))
            self._ready.set()
            try:
                async for data in self._socket:
                    size, packed = np.frombuffer(data[:16], np.uint64)
                    text = zstandard.ZstdDecompressor().decompress(data[16 : 16 + int(packed)], int(size))
                    held = msgspec.msgpack.decode(text)
                    for message in held["messages"]:
                        self._take(message)
            except websockets.ConnectionClosed:
                pass

    def _take(self, message: dict[str, Any]) -> None:
        self.names.append(message["type"])
        if message["type"] == "BackgroundImageMessage":
            self.pictures.append(message["rgb_data"])


@pytest.fixture
def studio(tmp_path) -> Iterator[Callable[..., Any]]:
    """Opens studios in an empty folder; closes them at the end."""
    pytest.importorskip("viser", reason="needs viser: pip install 'avatar3d[studio]'")
    from avatar3d.studio import Studio, StudioOptions

    running: list[Studio] = []

    def start(source: Path | None = None, **options: Any) -> Studio:
        running.append(Studio(StudioOptions(source=source, folder=tmp_path, **options)))
        return running[-1]

    yield start
    for each in running:
        each.close()


@pytest.fixture
def guest() -> Iterator[Callable[..., Guest]]:
    """Makes visitors; they leave at the end."""
    here: list[Guest] = []

    def come(studio: Any, **more: Any) -> Guest:
        here.append(Guest(studio.url, **more))
        return here[-1]

    yield come
    for each in here:
        if each._thread.is_alive():
            each.leave()
