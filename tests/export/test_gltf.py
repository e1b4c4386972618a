"""glTF: other programs read it, and its bones, shapes and animation give the avatar's poses."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import avatar3d
from avatar3d import heads
from avatar3d.core import AvatarError, Gaussians
from avatar3d.export import ExportOptions, avatar_glb, glb_reading, gltf
from avatar3d.export.splats import posed_splats, rotated, scene
from avatar3d.geometry import rotvec_to_matrix
from avatar3d.render.path import neutral, posed, view
from avatar3d.render.shade import Light, Texture, shade


@pytest.fixture(scope="module")
def files(small, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gltf")
    avatar3d.export(small, folder / "a.glb")
    avatar3d.export(small, folder / "a.mesh.glb", options=ExportOptions(size=256))
    return folder


class Player:
    """glTF's own rules for morphs and skins, in a dozen lines: what any viewer does."""

    def __init__(self, path: Path):
        self.top, self.buffer = gltf.parse(path.read_bytes(), "file")
        self.primitive = self.top["meshes"][0]["primitives"][0]
        self.names = self.top["meshes"][0]["extras"]["targetNames"]

    def array(self, number) -> np.ndarray:
        return gltf.array(self.top, self.buffer, number, "file").astype(np.float64)

    def points(self, weights, turns, places) -> np.ndarray:
        """Positions for morph weights (e), and each joint's rotation (j 3 3) and translation (j 3)."""
        attributes = self.primitive["attributes"]
        at = self.array(attributes["POSITION"])
        for weight, target in zip(weights, self.primitive["targets"], strict=True):
            at = at + weight * self.array(target["POSITION"]) if weight else at
        skin = self.top["skins"][0]
        inverse = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        whole = {}
        for i, number in enumerate(skin["joints"]):  # parents come first
            local = np.eye(4)
            local[:3, :3], local[:3, 3] = turns[i], places[i]
            parent = [j for j in skin["joints"] if number in self.top["nodes"][j].get("children", [])]
            whole[number] = whole[parent[0]] @ local if parent else local
        moves = np.stack([whole[number] @ inverse[i] for i, number in enumerate(skin["joints"])])
        which, share = self.array(attributes["JOINTS_0"]).astype(int), self.array(attributes["WEIGHTS_0"])
        blended = (moves[which] * share[..., None, None]).sum(1)
        return (blended @ np.concatenate([at, np.ones((len(at), 1))], 1)[..., None])[:, :3, 0]

    def rest_places(self) -> np.ndarray:
        return np.array([self.top["nodes"][j]["translation"] for j in self.top["skins"][0]["joints"]])


def test_the_splats_come_back(files, small):
    found, wanted = (
        glb_reading.read((files / "a.glb").read_bytes(), "a.glb"),
        posed_splats(small, neutral(heads.load("anny"))),
    )
    for name in ("means", "quats", "log_scales", "logits", "sh"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["a.glb", "a.mesh.glb"])
def test_a_viewer_poses_it_as_we_do(files, small, kind):
    head = heads.load(small.head)
    settings = {"jawOpen": 0.5, "mouthSmileLeft": 0.7, "eyeBlinkRight": 1.0, "headYaw": 20.0, "headPitch": 8.0}
    pose = posed(head, settings)
    player = Player(files / kind)
    assert player.names == list(head.expressions)
    turns = np.concatenate([np.eye(3)[None], rotvec_to_matrix(pose.joints).numpy()])
    found = player.points(pose.expression.numpy(), turns, player.rest_places())
    if kind == "a.glb":
        wanted = posed_splats(small, pose).means.numpy()
    else:
        vertices = head.vertices(small.identity, pose).numpy()
        rest = head.vertices(small.identity, neutral(head)).numpy()
        at = player.array(player.primitive["attributes"]["POSITION"])
        source = torch.cdist(torch.from_numpy(at).float(), torch.from_numpy(rest)).argmin(1).numpy()
        wanted = vertices[source]
    away = np.linalg.norm(found - wanted, axis=1)
    assert np.median(away) < 2e-4 and np.quantile(away, 0.99) < 2e-3


def test_the_animation_is_the_performance(files, small):
    player = Player(files / "a.glb")
    animation = player.top["animations"][0]
    tracks = {
        (c["target"]["node"], c["target"]["path"]): player.array(animation["samplers"][c["sampler"]]["output"])
        for c in animation["channels"]
    }
    times = player.array(animation["samplers"][0]["input"])[:, 0]
    assert len(times) == len(small.motion) and times[1] == pytest.approx(1 / small.motion.fps)
    weights = tracks[0, "weights"].reshape(len(times), -1)
    np.testing.assert_allclose(weights, small.motion.pose.expression, atol=1e-6)
    quats = tracks[2, "rotation"]
    np.testing.assert_allclose(np.linalg.norm(quats, axis=1), 1, atol=1e-6)


def test_pygltflib_reads_it(files):
    pygltflib = pytest.importorskip("pygltflib", reason="pip install pygltflib")
    for name in ("a.glb", "a.mesh.glb"):
        found = pygltflib.GLTF2().load(str(files / name))
        assert found is not None
        mesh = found.meshes[0]
        assert len(mesh.primitives[0].targets) == 52 and len(mesh.extras["targetNames"]) == 52
        assert len(found.skins[0].joints) == 7 and found.animations[0].name == "performance"
        assert found.accessors[mesh.primitives[0].attributes.POSITION].count > 1000
    splats = pygltflib.GLTF2().load(str(files / "a.glb"))
    assert "KHR_gaussian_splatting" in splats.extensionsUsed


def test_the_texture_shows_the_splats_colours(files, small):
    """The mesh with its texture looks as the head in its vertex colours, which the doll's splats have."""
    player, head = Player(files / "a.mesh.glb"), heads.load(small.head)
    image = player.top["bufferViews"][player.top["images"][0]["bufferView"]]
    start = image["byteOffset"]
    texture = np.asarray(Image.open(io.BytesIO(player.buffer[start : start + image["byteLength"]])), np.float32) / 255
    camera, light = view(15.0, 0.0, (128, 128)), Light(ambient=1.0, gloss=0.0)
    vertices = head.vertices(small.identity, neutral(head))
    ours = shade(vertices, head.faces, camera, head.colours, light)
    theirs = shade(vertices, head.faces, camera, Texture(torch.from_numpy(texture), head.uv), light)
    seen = ours.alpha[..., 0] > 0.99
    assert float((ours.rgb - theirs.rgb)[seen].abs().median()) < 0.03


def test_a_scene_has_no_bones_but_is_written(splats, tmp_path):
    room = scene(splats, "room.ply")
    avatar3d.export(room, tmp_path / "room.glb")
    back = avatar3d.import_avatar(tmp_path / "room.glb")
    assert back.head == "scene"
    torch.testing.assert_close(back.gaussians.sh, splats.sh)
    with pytest.raises(AvatarError, match="no shapes and bones"):
        avatar3d.export(room, tmp_path / "room.mesh.glb")


def test_a_turned_node_turns_the_splats_and_their_colours(splats):
    turn = rotvec_to_matrix(torch.tensor([0.3, -1.1, 0.4]))
    there = rotated(splats, turn)
    back = rotated(there, turn.mT)
    torch.testing.assert_close(back.sh, splats.sh, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(there.means, splats.means @ turn.mT)


def test_nodes_that_stretch_are_refused(splats, tmp_path):
    glb = gltf.Glb()
    attributes = avatar_glb._attributes(glb, Gaussians(*(getattr(splats, n)[:9] for n in _FIELDS)))
    primitive = {"mode": 0, "attributes": attributes, "extensions": {"KHR_gaussian_splatting": {}}}
    glb.top |= {"meshes": [{"primitives": [primitive]}], "nodes": [{"mesh": 0, "scale": [1, 2, 1]}]}
    with pytest.raises(AvatarError, match="stretched"):
        glb_reading.read(glb.to_bytes(), "x")
    glb.top["nodes"] = [{"mesh": 0, "children": [1]}, {"children": [0]}]
    with pytest.raises(AvatarError, match="hang on themselves"):
        glb_reading.read(glb.to_bytes(), "x")


_FIELDS = ("means", "quats", "log_scales", "logits", "sh")
