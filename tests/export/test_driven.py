"""Heads in glTF files come back as avatars that poses drive."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import avatar3d
from avatar3d import heads, rig, store
from avatar3d.core import Avatar, AvatarError, Basis, Bearing
from avatar3d.export import gltf
from avatar3d.export.avatar_glb import NOTE
from avatar3d.export.skeleton import head_of, linear
from avatar3d.export.splats import posed_splats
from avatar3d.render.path import neutral, posed

FACES = (
    {},
    {"jawOpen": 0.7},
    {"mouthSmileLeft": 0.6, "eyeBlinkRight": 1.0, "headYaw": 25.0, "gazeYaw": 10.0},
    {"jawOpen": 0.3, "mouthPucker": 0.5, "browInnerUp": 0.7, "headPitch": -12.0},
)


@pytest.fixture(scope="module")
def head(small) -> Avatar:
    """The doll with a face of its own: blendshapes of splats, identity and an edited shape."""
    draw, n = torch.Generator().manual_seed(2), len(small.gaussians)
    layers = (torch.randn(3, 70, generator=draw) * 0.4, torch.randn(3, generator=draw) * 0.1)
    basis = Basis(*(torch.randn(3, n, c, generator=draw) * s for c, s in ((3, 0.3), (4, 0.0), (3, 0.0))), layers)
    identity = 0.4 * torch.randn(len(heads.load("anny").identities), generator=draw)
    rest = heads.load("anny").template  # type: ignore[attr-defined]
    return replace(small, basis=basis, identity=identity, shape=0.05 * rest * torch.tensor([1.0, 0, 0]), motion=None)


def distance(a: Avatar, b: Avatar, face: dict[str, float]) -> float:
    """Of their splats in a pose, root mean square, millimetres."""
    one, other = (posed_splats(x, posed("anny", face)).means for x in (a, b))
    return 1e3 * float((one - other).square().sum(1).mean().sqrt())


@pytest.mark.parametrize("face", FACES, ids=str)
def test_our_own_glb_is_driven_as_the_avatar_was(head, tmp_path_factory, face) -> None:
    path = tmp_path_factory.mktemp("glb") / "a.glb"
    avatar3d.export(head, path)
    back = avatar3d.import_avatar(path)
    assert back.head == "anny" and len(back.gaussians) == len(head.gaussians)
    torch.testing.assert_close(back.identity, head.identity)
    truth = linear(head, head_of(head, "glb"))  # morph targets are linear: the rest is what the format loses
    assert distance(back, truth, face) < 0.35
    moved = (
        distance(truth, truth, {})
        if not face
        else 1e3
        * float(
            (posed_splats(truth, posed("anny", face)).means - posed_splats(truth, posed("anny", {})).means).abs().max()
        )
    )
    assert not face or moved > 3  # the poses say something


def test_its_performance_comes_back(small, tmp_path) -> None:
    avatar3d.export(small, tmp_path / "a.glb")
    back = avatar3d.import_avatar(tmp_path / "a.glb").motion
    assert back is not None and back.fps == pytest.approx(small.motion.fps) and back.names == small.motion.names
    torch.testing.assert_close(back.pose.expression, small.motion.pose.expression, atol=1e-6, rtol=0)
    torch.testing.assert_close(back.pose.joints, small.motion.pose.joints, atol=1e-5, rtol=0)


def test_a_bearing_is_in_weights_and_bones(small, tmp_path) -> None:
    """Viewers show the face as it was edited, and the splats of shapes stay those of the shapes."""
    gain, swing, turn = torch.full((52,), 0.5), torch.ones(6), torch.zeros(6, 3)
    turn[1, 1] = 0.2
    offset = torch.zeros(52)
    offset[small.motion.names.index("mouthSmileLeft")] = 0.4
    edited = replace(small, bearing=Bearing(gain, offset, swing, turn))
    avatar3d.export(edited, tmp_path / "e.glb")
    avatar3d.export(small, tmp_path / "s.glb")
    (top, _), (plain, _) = (gltf.parse((tmp_path / x).read_bytes(), x) for x in ("e.glb", "s.glb"))
    names = top["meshes"][0]["extras"]["targetNames"]
    assert top["meshes"][0]["weights"][names.index("mouthSmileLeft")] == pytest.approx(0.4)
    bone = next(node for node in top["nodes"] if node["name"] == "head")
    assert bone["rotation"] == pytest.approx([0, np.sin(0.1), 0, np.cos(0.1)], abs=1e-6)
    assert plain["accessors"][0] == top["accessors"][0]  # positions at rest
    motion = avatar3d.import_avatar(tmp_path / "e.glb").motion
    carried = rig.carried(small.motion.pose, edited.bearing)
    torch.testing.assert_close(motion.pose.expression, carried.expression, atol=1e-6, rtol=0)
    torch.testing.assert_close(motion.pose.joints, carried.joints, atol=1e-5, rtol=0)


def test_a_head_of_others_turns_with_the_skull_and_keeps_its_shapes(head, tmp_path) -> None:
    """A file that does not say what its splats ride on: placed by its eyelids."""
    avatar3d.export(head, tmp_path / "a.glb")
    top, buffer = gltf.parse((tmp_path / "a.glb").read_bytes(), "a")
    del top["meshes"][0]["extras"][NOTE]
    glb = gltf.Glb()
    glb._bytes, glb._views, glb._accessors = bytearray(buffer), top["bufferViews"], top["accessors"]
    glb.top = {k: v for k, v in top.items() if k not in ("buffers", "bufferViews", "accessors")}
    (tmp_path / "b.glb").write_bytes(glb.to_bytes())
    back = avatar3d.import_avatar(tmp_path / "b.glb")
    assert back.basis is not None and back.basis.means.shape[0] < 52
    rest = posed_splats(back, neutral(heads.load("anny"))).means
    plain = posed_splats(linear(head, head_of(head, "glb")), neutral(heads.load("anny"))).means
    assert (rest - plain - (rest - plain).mean(0)).abs().max() < 1e-5  # moved as one
    opened = posed_splats(back, posed("anny", {"jawOpen": 1.0})).means - rest
    truth = posed_splats(linear(head, head_of(head, "glb")), posed("anny", {"jawOpen": 1.0})).means - plain
    assert (opened - truth).square().sum(1).mean().sqrt() < 2e-4
    store.save(back, tmp_path / "b.a3d")
    assert distance(store.load(tmp_path / "b.a3d"), back, {"jawOpen": 0.5}) < 1e-6


def test_bonds_to_nothing_are_refused(head, tmp_path) -> None:
    avatar3d.export(head, tmp_path / "a.glb")
    data = (tmp_path / "a.glb").read_bytes()
    top, buffer = gltf.parse(data, "a")
    primitive = top["meshes"][0]["primitives"][0]
    accessor = top["accessors"][primitive["attributes"]["_TRIANGLE"]]
    start = len(data) - len(buffer) + top["bufferViews"][accessor["bufferView"]]["byteOffset"]
    for value in (1e9, -1.0, np.nan):
        broken = bytearray(data)
        broken[start : start + 4] = np.float32(value).tobytes()
        (tmp_path / "b.glb").write_bytes(broken)
        with pytest.raises(AvatarError, match="bound to"):
            avatar3d.import_avatar(tmp_path / "b.glb")
