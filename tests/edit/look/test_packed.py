"""Pictures and arrays in edits, damaged and hostile ones too."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from avatar3d.core import AvatarError
from avatar3d.edit import from_json
from avatar3d.edit.look import packed


def test_round_trips() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    assert np.array_equal(np.round(packed.unpack_image(packed.pack_image(pixels), "it") * 255).astype(np.uint8), pixels)
    numbers = np.arange(-30, 30).astype("<i2").reshape(-1, 3)
    assert np.array_equal(packed.unpack_array(packed.pack_array(numbers), "it", "<i2", 3, 100), numbers)


def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_unpacked() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 6, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0" * 100)) + chunk(b"IEND", b"")
    )
    with pytest.raises(AvatarError, match=r"60000x60000|not a PNG"):
        from_json({"kind": "paint", "image": base64.b64encode(bomb).decode()})


@pytest.mark.parametrize("text", ["", "%%%", "AAAA", base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"x" * 50).decode()])
def test_what_is_no_picture_is_refused(text) -> None:
    with pytest.raises(AvatarError, match="image"):
        from_json({"kind": "paint", "image": text})


def test_only_png_is_read_from_edits() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG")
    with pytest.raises(AvatarError, match="not a PNG"):
        packed.unpack_image(base64.b64encode(stream.getvalue()).decode(), "it")


def test_packed_zeros_do_not_grow_without_end() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(50 << 20), 9)).decode()
    with pytest.raises(AvatarError, match="rows of 3"):
        packed.unpack_array(bomb, "it", "<u2", 3, 1000)


def test_too_long_a_text_is_refused() -> None:
    with pytest.raises(AvatarError, match="at most"):
        packed.unpack_image("A" * (packed.LARGEST + 4), "it")
    noise = np.random.default_rng(0).integers(0, 256, (1100, 1100, 3), dtype=np.uint8)
    with pytest.raises(AvatarError, match="reduce"):
        packed.pack_image(noise)


def test_pictures_from_files(tmp_path) -> None:
    Image.new("RGB", (300, 200), (10, 20, 30)).save(tmp_path / "a.png")
    assert packed.read_image(tmp_path / "a.png", 150).shape == (100, 150, 4)
    (tmp_path / "b.png").write_bytes(b"nothing")
    for name, words in (("b.png", "not a picture"), ("c.png", "no such file")):
        with pytest.raises(AvatarError, match=words):
            packed.read_image(tmp_path / name)
