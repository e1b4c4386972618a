"""`avatar3d fit --body field --head none` and its score, on a ball."""

import json

import numpy as np
import pytest
from ball_pictures import SIZE, cameras, photographs
from PIL import Image

from avatar3d import scenes, store
from avatar3d.cli import main
from avatar3d.core import AvatarError


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """A folder of ten views of a ball, as others' programs write it: OpenGL axes, camera to world."""
    folder = tmp_path_factory.mktemp("ball")
    camera = cameras(10)
    for i, (image, mask) in enumerate(zip(*photographs(camera), strict=True)):
        wide = np.kron(np.concatenate([image, mask[..., None]], -1), np.ones((2, 2, 1), np.uint8))
        Image.fromarray(wide).save(folder / f"{i}.png")
    pose = np.linalg.inv(camera.w2c.double().numpy()) @ np.diag([1.0, -1, -1, 1])
    frames = [{"file_path": f"{i}.png", "transform_matrix": m.tolist()} for i, m in enumerate(pose)]
    lens = {"fl_x": 160, "fl_y": 160, "cx": SIZE, "cy": SIZE, "w": 2 * SIZE, "h": 2 * SIZE}
    (folder / "transforms.json").write_text(json.dumps(lens | {"frames": frames}))
    return folder


def test_fit_and_score(capture, tmp_path, capsys):
    out = tmp_path / "ball.a3d"
    command = ["fit", str(capture), "-o", str(out), "--body", "field", "--head", "none"]
    assert main([*command, "--steps", "12", "--hold-out", "0.2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["fitted_frames"] == 8 and told["head"] is None and told["cells"] > 100
    made = store.load(out)
    assert made.head == "scene" and made.field is not None and len(made.gaussians) == 0
    assert main(["score", "fit", str(out), str(capture), "--json"]) == 0
    score = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert score["frames"] == 2 and 5 < score["psnr"] < 60
    with pytest.raises(AvatarError, match="no held-out views"):
        scenes.score_scene(made, capture, hold_out=0.0)


def test_what_does_not_go_together(capture, tmp_path, capsys):
    command = ["fit", str(capture), "-o", str(tmp_path / "x.a3d"), "--head", "none"]
    assert main(command) != 0
    assert "--body field" in capsys.readouterr().err
    assert main([*command, "--body", "field", "--preset", "fats"]) != 0
    assert "fast" in capsys.readouterr().err
