"""Programs of others (node) open what is exported, and what they write is read."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import avatar3d
from avatar3d import heads
from avatar3d.export import ExportOptions, ply
from avatar3d.export.splats import posed_splats, scene, turned
from avatar3d.geometry import quat_to_matrix
from avatar3d.render.path import neutral

HERE = Path(__file__).parent / "foreign"
BUILD = Path(__file__).resolve().parents[2] / "build" / "foreign"


@pytest.fixture(scope="module")
def modules() -> Path:
    """Folder with the programs of foreign/package.json; fetched once, into build/."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("no node and npm: the foreign readers are JavaScript")
    folder = Path(os.environ.get("AVATAR3D_FOREIGN", BUILD))
    if not (folder / "node_modules" / "three").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode:
            shutil.rmtree(folder / "node_modules", ignore_errors=True)
            pytest.skip(f"npm could not fetch the foreign readers: {done.stderr.strip()[-300:]}")
    return folder / "node_modules"


def run(*command: str | Path) -> str:
    done = subprocess.run([str(x) for x in command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    return done.stdout


def converted(modules: Path, source: Path, target: Path) -> None:
    run("node", modules / "@playcanvas" / "splat-transform" / "bin" / "cli.mjs", "-q", "-w", source, target)


@pytest.fixture(scope="module")
def room(small):
    """The doll as free splats."""
    return scene(posed_splats(small, neutral(heads.load(small.head))), "doll")


# Largest error of position (m), opacity and an axis' direction, after our writer and their reader.
BOUNDS = {
    "ply": (1e-6, 1e-6, 1e-5),
    "compressed.ply": (4e-4, 3e-3, 8e-3),
    "splat": (1e-6, 3e-3, 3e-2),
    "spz": (8e-6, 5e-3, 8e-3),
    "sog": (6e-6, 4e-3, 3e-2),
}


def near(found, wanted, bounds) -> None:
    order = torch.cdist(wanted.means.double(), found.means.double()).argmin(1)
    found = found.gather(order)
    position, opacity, axis = bounds
    assert float((found.means - wanted.means).abs().max()) <= position
    assert float((found.opacities - wanted.opacities).abs().max()) <= opacity
    # Half a turn about an axis of its own leaves an ellipsoid as it was: axes may point the other way.
    between = quat_to_matrix(found.quats).mT @ quat_to_matrix(wanted.quats)
    assert float((between.abs() - torch.eye(3)).abs().max()) <= axis


@pytest.mark.network
@pytest.mark.parametrize("kind", [*BOUNDS, "spz4"])
def test_splat_transform_reads_what_we_write(kind, modules, room, tmp_path):
    ending = "spz" if kind == "spz4" else kind
    avatar3d.export(room, tmp_path / f"a.{ending}", options=ExportOptions(version=4 if kind == "spz4" else None))
    converted(modules, tmp_path / f"a.{ending}", tmp_path / "back.ply")
    found = turned(ply.read((tmp_path / "back.ply").read_bytes(), "back.ply"))
    near(found, room.gaussians, BOUNDS[ending])


@pytest.mark.network
@pytest.mark.parametrize("ending", ["compressed.ply", "spz", "sog"])
def test_we_read_what_splat_transform_writes(ending, modules, room, tmp_path):
    avatar3d.export(room, tmp_path / "a.ply")
    converted(modules, tmp_path / "a.ply", tmp_path / f"b.{ending}")
    found = avatar3d.import_avatar(tmp_path / f"b.{ending}")
    # They keep positions of spz in 12 fractional bits.
    near(found.gaussians, room.gaussians, (4e-4, 8e-3, 3e-2))


@pytest.mark.network
def test_the_validator_finds_no_errors(modules, small, tmp_path):
    avatar3d.export(small, tmp_path / "a.glb")
    avatar3d.export(small, tmp_path / "a.mesh.glb", options=ExportOptions(size=64))
    for name in ("a.glb", "a.mesh.glb"):
        found = json.loads(run("node", HERE / "validate.mjs", modules, tmp_path / name))
        # It does not know KHR_gaussian_splatting, whose attribute names have a colon.
        wrong = [x for x in found if x[0] < 2 and "KHR_gaussian_splatting" not in x[2]]
        assert not wrong
        assert name == "a.glb" or not found


@pytest.mark.network
def test_three_js_loads_the_avatar(modules, small, tmp_path):
    avatar3d.export(small, tmp_path / "a.glb")
    told = json.loads(run("node", HERE / "three.mjs", modules, tmp_path / "a.glb").splitlines()[-1])
    assert told == {"bones": 7, "shapes": 52, "points": len(small.gaussians), "tracks": [9]}
