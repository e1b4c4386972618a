"""Identity: the network gives dlib's own numbers, faces are aligned alike, one person is near and two are far."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from avatar3d import assets
from avatar3d.core import AvatarError
from avatar3d.score import face_net, identity

# dlib 20.0.1, face_recognition_model_v1, on data.astronaut()[40:190, 150:300]: the first six of 128 numbers, and the
# sum of all their sizes.
_DLIB = (-0.0450053588, 0.0530984104, -0.0133184884, 0.0694274679, -0.1398626119, 0.0215679929)
_DLIB_SIZES = 12.425801


@pytest.fixture(scope="module")
def weights() -> None:
    assets.path("face-recognition")


def test_dlibs_numbers(weights) -> None:
    chip = np.ascontiguousarray(data.astronaut()[40:190, 150:300])
    found = identity.face_net.load()(torch.from_numpy(chip).permute(2, 0, 1)[None].float())[0]
    assert found[:6].tolist() == pytest.approx(_DLIB, abs=2e-6)
    assert float(found.abs().sum()) == pytest.approx(_DLIB_SIZES, abs=1e-4)


def test_a_damaged_file_is_said(tmp_path) -> None:
    bad = tmp_path / "bad.dat"
    for content in (b"", b"nothing here", b"\x01\x05con_4\x01\x02\x01\x07"):
        bad.write_bytes(content)
        with pytest.raises(AvatarError, match="not dlib's face recognition network"):
            face_net.read(bad)


def _landmarks(turn: complex, shift: complex) -> np.ndarray:
    """Returns landmarks of a face that is the aligned one, turned and moved."""
    out = np.zeros((478, 3))
    chip = (np.array(identity._CHIP) + 0.25) / 1.5 * face_net.SIDE
    moved = turn * (chip @ [1, 1j]) + shift
    out[list(identity._POINTS), :2] = np.stack([moved.real, moved.imag], 1)
    return out


def test_alignment_undoes_any_similarity() -> None:
    """A smooth picture seen turned, larger or smaller gives the same aligned face."""
    y, x = np.mgrid[0:150, 0:150] + 0.5

    def picture(turn: complex, shift: complex, size: int) -> np.ndarray:
        v, u = np.mgrid[0:size, 0:size] + 0.5
        z = (u + 1j * v - shift) / turn
        waves = [np.sin(z.real / 17), np.cos(z.imag / 13), np.sin((z.real + z.imag) / 23)]
        return np.round(127.5 + 120 * np.stack(waves, -1)).astype(np.uint8)

    wanted = 127.5 + 120 * np.stack([np.sin(x / 17), np.cos(y / 13), np.sin((x + y) / 23)], 0)
    for angle, scale, shift in ((0, 1, 40 + 40j), (30, 0.8, 120 + 30j), (-50, 3.3, 200 + 420j)):
        turn = scale * complex(math.cos(math.radians(angle)), math.sin(math.radians(angle)))
        found = identity.aligned(picture(turn, shift, 900), _landmarks(turn, shift)).numpy()
        assert np.abs(found - wanted)[:, 5:-5, 5:-5].max() < 6


def test_no_face_is_said() -> None:
    with pytest.raises(AvatarError, match="no face"):
        identity.aligned(np.zeros((64, 64, 3), np.uint8), np.full((478, 3), np.nan))


def test_one_person_is_near_and_two_are_far(weights, tmp_path, doll) -> None:
    """The astronaut against herself smaller, turned and darker, and against the doll."""
    from avatar3d.identity_scores import faces_of, pairwise, score_identity

    portrait = Image.fromarray(data.astronaut()[:300, 80:380])
    portrait.save(tmp_path / "a.png")
    portrait.rotate(12, fillcolor=(90, 90, 90)).resize((200, 200)).point(lambda v: v * 0.8).save(tmp_path / "b.png")
    near = score_identity(tmp_path / "a.png", tmp_path / "b.png")
    assert near.distance < 0.4 and near.as_json()["one_person"]
    dolls = faces_of(doll)
    assert dolls.shape == (3, 128)
    table = pairwise([faces_of(tmp_path / "a.png"), faces_of(tmp_path / "b.png"), dolls])
    assert table[0, 2] > 0.6 and table[1, 2] > 0.6 and torch.isinf(table.diagonal()).all()
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(tmp_path / "c.png")
    with pytest.raises(AvatarError, match=r"c\.png: no face is seen"):
        score_identity(tmp_path / "a.png", tmp_path / "c.png")
