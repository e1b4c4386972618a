"""USD, baked animations and LAM's zip: written, read back, and opened by another program."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

import avatar3d
from avatar3d import heads
from avatar3d.core import AvatarError, Basis
from avatar3d.export import ExportOptions, baked, gltf, lam, ply
from avatar3d.export.archives import read_zip
from avatar3d.export.skeleton import head_of, linear, shape_splats
from avatar3d.export.splats import posed_splats, scene, turned
from avatar3d.geometry import quat_to_matrix
from avatar3d.render.path import neutral, posed, view


def at_rest(avatar):
    return posed_splats(avatar, neutral(heads.load(avatar.head)))


@pytest.mark.parametrize("ending", [".usda", ".usdc", ".usdz"])
def test_usd_comes_back(ending, splats, tmp_path):
    pytest.importorskip("pxr", reason="pip install usd-core")
    path = tmp_path / f"a{ending}"
    avatar3d.export(scene(splats, "x"), path)
    found = at_rest(avatar3d.import_avatar(path))
    for name in ("means", "log_scales", "sh"):
        torch.testing.assert_close(getattr(found, name), getattr(splats, name), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found.opacities, splats.opacities, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(quat_to_matrix(found.quats), quat_to_matrix(splats.quats), atol=1e-5, rtol=0)


def test_openusd_knows_the_schema(splats, tmp_path):
    pytest.importorskip("pxr", reason="pip install usd-core")
    from pxr import Usd, UsdGeom

    avatar3d.export(scene(splats, "x"), tmp_path / "a.usda")
    stage = Usd.Stage.Open(str(tmp_path / "a.usda"))
    prim = stage.GetDefaultPrim()
    assert prim.GetTypeName() == "ParticleField3DGaussianSplat" and UsdGeom.GetStageUpAxis(stage) == "Y"
    known = prim.GetPrimDefinition().GetPropertyNames()
    assert all(p.GetName() in known for p in prim.GetAuthoredProperties())
    assert len(prim.GetAttribute("positions").Get()) == len(splats)
    degree = prim.GetAttribute("radiance:sphericalHarmonicsDegree").Get()
    assert (degree + 1) ** 2 == splats.sh.shape[1]


def test_usd_in_binary_says_what_to_install(monkeypatch, splats, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "pxr", None)
    avatar3d.export(scene(splats, "x"), tmp_path / "a.usda")
    with pytest.raises(AvatarError, match="pip install usd-core"):
        avatar3d.export(scene(splats, "x"), tmp_path / "a.usdc")


def test_a_baked_animation_shows_the_performance(small, tmp_path):
    path = tmp_path / "a.baked.ply"
    made = avatar3d.export(small, path, options=ExportOptions(axes="y-up"))
    found = baked.from_tables(ply.unpack(path.read_bytes(), "x"), "x")
    assert made["frames"] == len(found.frames) == len(small.motion)
    pose = replace(small.motion.pose, root=torch.eye(4).expand(3, 4, 4))
    for i in (0, 2):
        wanted, seen = posed_splats(small, pose[i]), found.posed(found.frames[i])
        torch.testing.assert_close(seen.means, wanted.means, atol=2e-6, rtol=0)
        torch.testing.assert_close(seen.log_scales, wanted.log_scales, atol=1e-4, rtol=0)


def test_a_baked_animation_in_other_axes_is_the_same_turned(small, tmp_path):
    avatar3d.export(small, tmp_path / "a.baked.ply")
    found = baked.from_tables(ply.unpack((tmp_path / "a.baked.ply").read_bytes(), "x"), "x")
    there, here = turned(at_rest(small)), found.posed(found.base)
    torch.testing.assert_close(here.means, there.means, atol=2e-6, rtol=0)
    torch.testing.assert_close(quat_to_matrix(here.quats), quat_to_matrix(there.quats), atol=1e-5, rtol=0)


def test_splats_off_the_middle_of_their_triangle_stay_where_they_are(small, tmp_path):
    corner = torch.tensor([0.8, 0.15, 0.05]).expand(len(small.gaussians), 3)
    moved = replace(small, binding=replace(small.binding, bary=corner))
    avatar3d.export(moved, tmp_path / "a.baked.ply", options=ExportOptions(axes="y-up"))
    found = baked.from_tables(ply.unpack((tmp_path / "a.baked.ply").read_bytes(), "x"), "x")
    torch.testing.assert_close(found.posed(found.base).means, at_rest(moved).means, atol=2e-6, rtol=0)


def test_a_lam_zip_is_an_avatar_that_does_the_same(small, tmp_path):
    path = tmp_path / "a.zip"
    made = avatar3d.export(small, path)
    assert made["shapes"] == 52
    there = avatar3d.import_avatar(path)
    assert there.head == "anny" and there.basis is not None
    rest, back = at_rest(small), at_rest(there)
    shift = (back.means - rest.means).mean(0)
    torch.testing.assert_close(back.means, rest.means + shift, atol=1e-5, rtol=0)
    torch.testing.assert_close(quat_to_matrix(back.quats), quat_to_matrix(rest.quats), atol=1e-4, rtol=0)
    torch.testing.assert_close(back.log_scales, rest.log_scales, atol=1e-4, rtol=0)
    torch.testing.assert_close(back.sh, rest.sh, atol=1e-4, rtol=0)
    assert float(shift.norm()) < 2e-3, "the doll is the default head: the eyelids say where it belongs"
    settings = {"jawOpen": 0.5, "mouthSmileLeft": 0.6}
    wanted, seen = posed_splats(small, posed("anny", settings)), posed_splats(there, posed("anny", settings))
    assert float((seen.means - shift - wanted.means).norm(dim=1).max()) < 5e-4
    turned_head = posed_splats(there, posed("anny", {"headYaw": 20.0}))
    assert float((turned_head.means - back.means).norm(dim=1).median()) > 0.01
    avatar3d.save(there, tmp_path / "there.a3d")
    picture = avatar3d.render(avatar3d.load(tmp_path / "there.a3d"), posed("anny", settings), view(size=(64, 64)))
    assert float(picture.alpha.mean()) > 0.2


def test_a_lam_zip_holds_what_the_renderer_looks_for(small, tmp_path):
    avatar3d.export(small, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        folders = [part.filename for part in archive.infolist() if part.is_dir()]
    assert folders == ["avatar/"], "the renderer takes the name of the one folder from its entry"
    files = read_zip((tmp_path / "a.zip").read_bytes(), "a.zip")
    top, _ = gltf.parse(files["avatar/skin.glb"], "skin")
    names = [node["name"] for node in top["nodes"]]
    assert "hip" in names and "head" in names and "animations" not in top
    clips, _ = gltf.parse(files["avatar/animation.glb"], "animation")
    assert len(clips["animations"]) == 12
    order = json.loads(files["avatar/vertex_order.json"])
    assert sorted(order) == list(range(len(small.gaussians)))
    colours = ply.read(files["avatar/offset.ply"], "offset").sh
    assert float(colours.min()) >= 0 and float(colours.max()) <= 1.001


def test_too_many_splats_for_lams_renderer_are_refused(small, tmp_path, monkeypatch):
    monkeypatch.setattr(lam, "_MOST_SPLATS", 100)
    with pytest.raises(AvatarError, match="holds up to 100"):
        avatar3d.export(small, tmp_path / "a.zip")


def test_shapes_of_a_network_are_the_line_nearest_to_it(small):
    """The performance's shape keeps what the network does there; shapes that never occurred ask nothing of it."""
    head = head_of(small, "test")
    g, n = torch.Generator().manual_seed(3), len(small.gaussians)
    inputs = len(head.expressions) + 3 * len(head.joints)
    layers = (torch.randn(8, inputs, generator=g), torch.zeros(8), torch.randn(2, 8, generator=g), torch.zeros(2))
    basis = Basis(torch.randn(2, n, 3, generator=g), torch.zeros(2, n, 4), torch.zeros(2, n, 3), layers)
    pose = small.motion.pose
    long = pose.map(lambda x: x[[0, 1, 2] * 300])
    avatar = replace(small, basis=basis, motion=replace(small.motion, pose=long))
    line = linear(avatar, head)
    one = pose[2]
    rest = replace(one, root=torch.eye(4))
    near = (posed_splats(line, rest).means - posed_splats(avatar, rest).means).norm(dim=1).median()
    without = (posed_splats(small, rest).means - posed_splats(avatar, rest).means).norm(dim=1).median()
    assert float(near) < 0.25 * float(without)
    shapes = dict(shape_splats(line, head, posed_splats(line, neutral(head))))
    still = replace(small, basis=None)
    plain = dict(shape_splats(still, head, at_rest(still)))
    np.testing.assert_allclose(shapes["browDownLeft"], plain["browDownLeft"], atol=1e-4)
