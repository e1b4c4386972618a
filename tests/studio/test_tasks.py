"""Work in the background: driving, films, exports."""

import json
import math

import av
import pytest
import torch

from avatar3d import store
from avatar3d.core import AvatarError
from avatar3d.export import import_avatar
from avatar3d.studio import tasks
from avatar3d.studio.cameras import Keyframe, facing
from avatar3d.studio.document import Document
from avatar3d.studio.intake import Brought
from avatar3d.studio.jobs import Jobs

WHITE = (1.0, 1.0, 1.0)


def test_a_motion_file_drives_the_avatar(small, tmp_path) -> None:
    path = tmp_path / "talk.json"
    frames = [{"weights": [0.1 * i], "time": i / 25} for i in range(8)]
    path.write_text(json.dumps({"names": ["jawOpen"], "fps": 25, "frames": frames}))
    document = Document(small)
    note = tasks.drive(document, Brought("motion", path), Jobs())
    assert "8 frames" in note and document.timeline.frames == 8 and document.timeline.playing
    jaw = [float(document.pose_at(i).expression[24]) for i in range(8)]
    assert jaw == sorted(jaw) and jaw[-1] > jaw[0]
    with pytest.raises(AvatarError, match="drives nothing"):
        tasks.drive(document, Brought("picture", path), Jobs())


def test_a_film_of_a_camera_path(small, tmp_path) -> None:
    document = Document(small)
    keys = (Keyframe(facing(-20, 0), 0.0), Keyframe(facing(20, 0), 0.4, {"jawOpen": 0.6}))
    shots = tasks.of_path(document, keys, (63, 48), 10.0, WHITE)
    assert len(shots.poses.root) == 5 and shots.cameras.width == 64
    assert not torch.equal(shots.cameras.w2c[0], shots.cameras.w2c[-1])
    tasks.film(document, tmp_path / "path.mp4", shots, Jobs())
    with av.open(str(tmp_path / "path.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 5
    with pytest.raises(AvatarError, match="two keyframes"):
        tasks.of_path(document, keys[:1], (64, 48), 10.0, WHITE)


def test_a_film_of_the_performance(small, tmp_path) -> None:
    document = Document(small)
    shots = tasks.of_performance(document, document.camera().scaled(0.25), WHITE)
    assert math.isclose(shots.fps, 25.0) and len(shots.poses.root) == len(small.motion)
    tasks.film(document, tmp_path / "a.mp4", shots, Jobs())
    with av.open(str(tmp_path / "a.mp4")) as film:
        assert film.streams.video[0].width == 64
    document.set_performing(False)
    with pytest.raises(AvatarError, match="performed"):
        tasks.of_performance(document, document.camera(), WHITE)


def test_exports_and_opening_again(small, tmp_path) -> None:
    document = Document(small)
    path = tasks.export_to(document, tmp_path, "me", "ply", True, Jobs())
    assert path.name == "me.ply" and len(import_avatar(path).gaussians) == len(small.gaussians)
    store.save(small, tmp_path / "me.a3d")
    assert len(tasks.opened(tmp_path / "me.a3d").gaussians) == len(small.gaussians)
    scene = Document(tasks.opened(path))  # splats without a head can be looked at
    assert scene.scene() is not None and scene.values == {}
