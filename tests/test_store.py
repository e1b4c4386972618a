"""The file format: round trips, and files that are not ours, newer, damaged, hostile or too large for the disk."""

import dataclasses
import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import torch as safetensors

from avatar3d import files, store
from avatar3d.core import Avatar, AvatarError, Basis, Binding, Camera, Gaussians, Motion, Pose, Track


def make_avatar(n: int = 7, k: int = 0, frames: int = 0, sh: int = 1, seed: int = 0) -> Avatar:
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw)

    basis = None
    if k:
        layers = (normal(5, 11), normal(5), normal(k, 5), normal(k))
        basis = Basis(normal(k, n, 3), normal(k, n, 4), normal(k, n, 3), layers)
    motion = None
    if frames:
        names = ("jawOpen", "eyeBlinkLeft")
        soft = normal(frames, 5, 3) if frames % 2 else None
        motion = Motion(Pose(normal(frames, 2), normal(frames, 3, 3), normal(frames, 4, 4), soft), 29.97, names)
    return Avatar(
        head="anny",
        identity=normal(4),
        gaussians=Gaussians(normal(n, 3), normal(n, 4), normal(n, 3), normal(n), normal(n, sh, 3)),
        binding=Binding(torch.randint(0, 9, (n,), generator=draw), normal(n, 3)),
        basis=basis,
        edits=({"kind": "recolour", "value": 0.5},),
        about={"source": "größe.mp4", "consent": "yes", "seconds": {"fit": 1.25}},
        motion=motion,
    )


def make_track(frames: int = 3) -> Track:
    pose = Pose(torch.rand(frames, 2), torch.randn(frames, 4, 3), torch.eye(4).expand(frames, 4, 4).clone())
    motion = Motion(pose, 25.0, ("jawOpen", "tongueOut"))
    camera = Camera(torch.eye(4), torch.eye(3) * 500, 640, 480)
    return Track("anny", torch.randn(5), motion, camera, torch.rand(frames))


def tensors_of(value: object) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    for part in vars(value).values():
        if isinstance(part, torch.Tensor):
            found.append(part)
        elif isinstance(part, tuple):
            found += [x for x in part if isinstance(x, torch.Tensor)]
        elif hasattr(part, "__dataclass_fields__"):
            found += tensors_of(part)
    return found


def assert_same(a: object, b: object) -> None:
    pairs = list(zip(tensors_of(a), tensors_of(b), strict=True))
    assert pairs
    for x, y in pairs:
        assert x.dtype == y.dtype and torch.equal(x, y)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(1, 40), k=st.integers(0, 3), frames=st.integers(0, 4), sh=st.sampled_from([1, 4, 9, 16]))
def test_an_avatar_comes_back_bit_for_bit(tmp_path: Path, n: int, k: int, frames: int, sh: int) -> None:
    avatar = make_avatar(n, k, frames, sh)
    store.save(avatar, tmp_path / "a.a3d")
    back = store.load(tmp_path / "a.a3d")
    assert_same(avatar, back)
    assert (back.head, back.edits, back.about) == (avatar.head, avatar.edits, avatar.about)
    assert (back.basis is None, back.motion is None) == (k == 0, frames == 0)
    if back.motion is not None and avatar.motion is not None:
        assert (back.motion.fps, back.motion.names) == (avatar.motion.fps, avatar.motion.names)


def test_zeros_of_blendshapes_take_no_room(tmp_path: Path) -> None:
    avatar = make_avatar(n=2000, k=3)
    assert avatar.basis is not None
    still = replace(avatar.basis, quats=torch.zeros(3, 2000, 4), sh=torch.zeros(3, 2000, 3))
    store.save(avatar, tmp_path / "full.a3d")
    store.save(replace(avatar, basis=still), tmp_path / "still.a3d")
    back = store.load(tmp_path / "still.a3d").basis
    assert back is not None and all(torch.equal(getattr(back, x), getattr(still, x)) for x in ("means", "quats", "sh"))
    saved = (tmp_path / "full.a3d").stat().st_size - (tmp_path / "still.a3d").stat().st_size
    assert saved == pytest.approx(3 * 2000 * 7 * 4, rel=0.01)


def test_a_track_comes_back_bit_for_bit(tmp_path: Path) -> None:
    track = make_track()
    pose = dataclasses.replace(track.motion.pose, soft=torch.randn(3, 7, 3))
    track = dataclasses.replace(track, motion=dataclasses.replace(track.motion, pose=pose))
    store.save(track, tmp_path / "t.a3d")
    back = store.load_track(tmp_path / "t.a3d")
    assert_same(track, back)
    assert (back.head, back.camera.width, back.camera.height) == ("anny", 640, 480)


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        store.save(make_avatar(k=2, frames=2), tmp_path / f"{name}.a3d")
    assert (tmp_path / "a.a3d").read_bytes() == (tmp_path / "b.a3d").read_bytes()


def test_the_other_kind_is_named(tmp_path: Path) -> None:
    store.save(make_track(), tmp_path / "t.a3d")
    with pytest.raises(AvatarError, match="kind is 'track', expected 'avatar'"):
        store.load(tmp_path / "t.a3d")


def reheader(path: Path, change) -> None:
    """Rewrites the JSON header of a file."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    text = json.dumps(change(header)).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def ours(**changes):
    """Returns a change of the header's own part."""

    def change(header):
        held = json.loads(header["__metadata__"]["avatar3d"])
        header["__metadata__"]["avatar3d"] = json.dumps({**held, **changes})
        return header

    return change


def with_value(**changes):
    def change(header):
        held = json.loads(header["__metadata__"]["avatar3d"])
        return ours(value={**held["value"], **changes})(header)

    return change


def without_ours(header):
    return {**header, "__metadata__": {"other": "{}"}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (ours(version=99), "newer avatar3d"),
        (ours(version=0), "header is damaged"),
        (ours(version="one"), "not an avatar3d file"),
        (ours(value=[1]), "header is damaged"),
        (ours(value={"head": float("nan")}), "not an avatar3d file, or a damaged one"),
        (ours(value={}), "header is damaged"),
        (without_ours, "not an avatar3d file"),
        (with_value(head=3), "header is damaged"),
        (with_value(edits=7), "header is damaged"),
        (with_value(about=None), "header is damaged"),
        (with_value(motion={"fps": -1, "names": ["a", "b"]}), "header is damaged"),
        (with_value(motion={"fps": 25, "names": ["a"]}), "header is damaged"),
        (lambda header: {"__metadata__": header["__metadata__"]}, "truncated or damaged"),
        (lambda header: {k: v for k, v in header.items() if k != "__metadata__"}, "not an avatar3d file"),
    ],
)
def test_hostile_headers_get_one_line(tmp_path: Path, change, said: str) -> None:
    path = tmp_path / "a.a3d"
    store.save(make_avatar(k=2, frames=3), path)
    reheader(path, change)
    with pytest.raises(AvatarError, match=said) as caught:
        store.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 5, 8, 60, 400, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.a3d"
    store.save(make_avatar(), path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(AvatarError, match=r"not an avatar3d file|truncated"):
        store.load(path)


@pytest.mark.parametrize("data", [b"hello, this is a text file\n", b"\xff" * 64, b"PK\x03\x04" + bytes(80)])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.a3d").write_bytes(data)
    with pytest.raises(AvatarError, match="not an avatar3d file"):
        store.load(tmp_path / "a.a3d")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(AvatarError, match="no such file"):
        store.load(tmp_path / "none.a3d")
    with pytest.raises(AvatarError, match="cannot be read"):
        store.load(tmp_path)


def rewrite(path: Path, **tensors: torch.Tensor | None) -> None:
    """Replaces (or drops) tensors of a file without any check."""
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    held = {**safetensors.load(data), **{name.replace("__", "."): x for name, x in tensors.items()}}
    kept = {name: x for name, x in held.items() if x is not None}
    path.write_bytes(safetensors.save(kept, header["__metadata__"]))


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"gaussians__means": torch.full((7, 3), float("nan"))}, "NaN"),
        ({"gaussians__means": torch.zeros(6, 3)}, "expected"),
        ({"gaussians__means": torch.zeros(7, 4)}, "expected 3"),
        ({"gaussians__means": torch.zeros(7)}, "axes"),
        ({"gaussians__sh": torch.zeros(7, 5, 3)}, "5 coefficients"),
        ({"gaussians__means": None}, "is missing"),
        ({"surprise": torch.zeros(3)}, "is not known"),
        ({"binding__face": torch.full((7,), -1)}, "negative face"),
        ({"binding__face": torch.zeros(7)}, "whole numbers"),
        ({"identity": torch.zeros(4, dtype=torch.int64)}, "floating-point"),
    ],
)
def test_wrong_tensors_get_one_line(tmp_path: Path, tensors, said: str) -> None:
    path = tmp_path / "a.a3d"
    store.save(make_avatar(), path)
    rewrite(path, **tensors)
    with pytest.raises(AvatarError, match=said):
        store.load(path)


def test_nan_and_odd_about_are_not_saved(tmp_path: Path) -> None:
    avatar = make_avatar()
    bad = replace(avatar, identity=torch.tensor([1.0, float("inf")]))
    with pytest.raises(AvatarError, match="identity holds NaN or infinity"):
        store.save(bad, tmp_path / "a.a3d")
    with pytest.raises(AvatarError, match="plain JSON"):
        store.save(replace(avatar, about={"when": object()}), tmp_path / "a.a3d")
    with pytest.raises(AvatarError, match="plain JSON"):
        store.save(replace(avatar, about={"when": float("nan")}), tmp_path / "a.a3d")
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_older_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    path = tmp_path / "a.txt"
    with pytest.raises(AvatarError, match="no space left"), files.replacing(path) as temporary:
        temporary.unlink()
        temporary.symlink_to("/dev/full")  # what is written now fails as on a full disk
        with open(temporary, "wb") as file:
            file.write(bytes(1 << 20))
    assert list(tmp_path.iterdir()) == []


def test_checking_an_output_leaves_nothing(tmp_path: Path) -> None:
    files.check_writable(tmp_path / "new" / "deeper" / "a.a3d")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    with pytest.raises(AvatarError, match="is a folder"):
        files.check_writable(tmp_path / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(AvatarError, match="cannot be written"):
        files.check_writable(tmp_path / "file" / "a.a3d")
