"""Samples many heads and measures them: are they distinct, do they pass the face detector, do lips and lids behave?

    python -m tools.bench_sample --heads 200 --out out/samples.json

- distinct: the smallest distance between two heads' embeddings of a face-recognition network, front view, and the
  smallest root mean square distance between the vertices of two faces.
- detector: heads in whose front view the landmark network finds one face.
- lips and lids: by how many millimetres they pass each other in each of the 52 expressions (mouthClose with an open
  jaw, as it is meant), in columns across mouth and eyes as `heads.lips` measures them; what counts is how much more
  that is than on the mean head in the same expression and than at rest.
- with `--triangles N`, for the first N heads: pairs of triangles of the two sheets of skin that cross, and how deep.
"""

import argparse
import functools
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from avatar3d import heads
from avatar3d.core import Avatar
from avatar3d.heads import AnnyHead
from avatar3d.render.image import render, to_bytes
from avatar3d.render.path import posed, view
from avatar3d.sample import sample
from avatar3d.sample.closing import lids, lips_of, seam

MARGIN = 0.3
"""Millimetres by which lips and lids may pass each other more than the mean head's: a fifth of the skin's thickness."""


@dataclass(frozen=True)
class Pair:
    """Two sheets of skin that meet."""

    name: str
    upper: np.ndarray
    lower: np.ndarray
    """Triangles of each."""


@functools.cache
def pairs() -> tuple[Pair, ...]:
    """Returns lips and lids of the default head."""
    head = heads.load("anny")
    assert isinstance(head, AnnyHead)
    faces, names = head.faces.numpy(), head.expressions
    falls = -head.deltas[names.index("jawOpen"), :, 1].numpy()[faces].mean(-1)
    lips = head.regions["lips"].numpy()[faces].mean(-1) > 0.6
    out = [Pair("lips", np.flatnonzero(lips & (falls < 0.010)), np.flatnonzero(lips & (falls > 0.0125)))]
    for side in ("left", "right"):
        lids = head.regions[f"lids_{side}"].numpy()[faces].mean(-1) > 0.6
        blink = -head.deltas[names.index(f"eyeBlink{side.capitalize()}"), :, 1].numpy()[faces].mean(-1)
        out.append(Pair(f"lids_{side}", np.flatnonzero(lids & (blink > 0.004)), np.flatnonzero(lids & (blink < 0.001))))
    return tuple(out)


def crossing(vertices: np.ndarray, faces: np.ndarray, pair: Pair) -> tuple[int, float]:
    """Returns how many triangles of two sheets cross, and the longest way that an edge reaches through, mm."""
    a, b = vertices[faces[pair.upper]], vertices[faces[pair.lower]]
    low = np.maximum(a.min(1)[:, None], b.min(1)[None])
    high = np.minimum(a.max(1)[:, None], b.max(1)[None])
    i, j = np.nonzero((low < high).all(-1))
    # Neighbours share corners and do not count.
    apart = ~(faces[pair.upper][i][:, :, None] == faces[pair.lower][j][:, None, :]).any((1, 2))
    i, j = i[apart], j[apart]
    depth = np.zeros(len(i))
    for first, second in ((a[i], b[j]), (b[j], a[i])):
        for k in range(3):
            depth = np.maximum(depth, _through(first[:, k], first[:, (k + 1) % 3], second))
    return int((depth > 0).sum()), 1e3 * float(depth.max(initial=0))


def _through(start: np.ndarray, end: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    """Returns how far segments reach through triangles, along their normals: the shorter side, 0 if they miss."""
    one, two = triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0]
    normal = np.cross(one, two)
    size = np.linalg.norm(normal, axis=1)
    safe = np.maximum(size, 1e-15)[:, None]
    before = ((start - triangle[:, 0]) * normal / safe).sum(1)
    after = ((end - triangle[:, 0]) * normal / safe).sum(1)
    share = before / np.where(before == after, 1, before - after)
    point = start + share[:, None] * (end - start) - triangle[:, 0]
    area = np.maximum((normal * normal).sum(1), 1e-30)
    u = (np.cross(point, two) * normal).sum(1) / area
    v = (np.cross(one, point) * normal).sum(1) / area
    hit = (before * after < 0) & (u > 0) & (v > 0) & (u + v < 1) & (size > 1e-12)
    return np.where(hit, np.minimum(np.abs(before), np.abs(after)), 0.0)


def expressions(head: AnnyHead, avatar: Avatar | None) -> np.ndarray:
    """Returns the weights (52 52) of each expression as the avatar shows it."""
    names = head.expressions
    weights = np.eye(len(names))
    weights[names.index("mouthClose"), names.index("jawOpen")] = 1.0
    if avatar is not None and avatar.bearing is not None:
        weights = weights * avatar.bearing.gain.double().numpy() + avatar.bearing.offset.double().numpy()
    return weights.clip(0, 1)


def overlaps(head: AnnyHead, identity: torch.Tensor, avatar: Avatar | None) -> dict[str, np.ndarray]:
    """Returns how far lips and lids pass each other (53), millimetres: at rest, then in each expression."""
    weights = np.concatenate([np.zeros((1, len(head.expressions))), expressions(head, avatar)])
    rest = head.rest(identity).double().numpy()
    out = {"lips": np.maximum(-seam(lips_of(head, rest), weights), 0)}
    deltas = head.deltas.double().numpy()
    for side in ("left", "right"):
        rims = lids(head, side)
        gaps = [rims.gaps(rest + np.tensordot(w, deltas, 1)).min() for w in weights]
        out[f"lids_{side}"] = np.maximum(-np.array(gaps), 0)
    return out


def crossings(head: AnnyHead, identity: torch.Tensor, avatar: Avatar | None = None) -> dict[str, np.ndarray]:
    """Returns count and depth (53 2) of each pair: at rest, then in each expression as the avatar shows it."""
    faces = head.faces.numpy()
    rest = head.rest(identity).double().numpy()
    deltas = head.deltas.double().numpy()
    weights = np.concatenate([np.zeros((1, len(head.expressions))), expressions(head, avatar)])
    out = {pair.name: np.zeros((len(weights), 2)) for pair in pairs()}
    for row, weight in enumerate(weights):
        posed_ = rest + np.tensordot(weight, deltas, 1)
        for pair in pairs():
            out[pair.name][row] = crossing(posed_, faces, pair)
    return out


def _picture(avatar: Avatar) -> np.ndarray:
    with torch.no_grad():
        return to_bytes(render(avatar, posed("anny", {}), view(size=(384, 384), zoom=1.6), torch.full((3,), 0.5)))


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--heads", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--triangles", type=int, default=10)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    from avatar3d.capture.landmarks import Landmarker
    from avatar3d.score import identity

    head = heads.load("anny")
    assert isinstance(head, AnnyHead)
    found, embeddings, shapes, seconds, splats = [], [], [], [], []
    nobody = torch.zeros(len(head.identities))
    mean, crossed = overlaps(head, nobody, None), crossings(head, nobody)
    excess: dict[str, list[tuple[float, str, int]]] = {name: [] for name in mean}
    deeper: dict[str, list[tuple[float, str, int]]] = {name: [] for name in mean}
    landmarker = Landmarker()
    face = head.regions["face"] > 0.5
    for seed in range(args.seed, args.seed + args.heads):
        start = time.perf_counter()
        avatar = sample(seed)
        seconds.append(time.perf_counter() - start)
        splats.append(len(avatar.gaussians))
        shapes.append(head.rest(avatar.identity)[face].double().numpy())
        picture = _picture(avatar)
        seen = landmarker.find(picture)
        found.append(len(seen) == 1)
        if seen:
            embeddings.append(identity.embed([(picture, seen[0].landmarks)])[0].numpy())
        for name, values in overlaps(head, avatar.identity, avatar).items():
            excess[name].append(_worst(values[1:] - np.maximum(mean[name][1:], values[0]), head, seed))
        if seed - args.seed < args.triangles:
            for name, pair in crossings(head, avatar.identity, avatar).items():
                over = pair[1:, 1] - np.maximum(crossed[name][1:, 1], pair[0, 1])
                deeper[name].append(_worst(over, head, seed))
        print(f"{seed}: {len(seen)} face, {seconds[-1]:.1f} s", flush=True)
    figures = {
        "heads": args.heads,
        "detected": int(sum(found)),
        "not_detected": [args.seed + i for i, ok in enumerate(found) if not ok],
        "embedding": _closest(np.array(embeddings)),
        "shape_mm": _closest(np.array(shapes).reshape(len(shapes), -1) * 1e3 / np.sqrt(int(face.sum()))),
        "overlap_beyond_mean_head_mm": {name: _summary(rows) for name, rows in excess.items()},
        "mean_head_overlap_mm": {name: float(values.max()) for name, values in mean.items()},
        "crossing_deeper_than_mean_head_mm": {name: _summary(rows) for name, rows in deeper.items() if rows},
        "mean_head_crossing_mm": {name: float(values[:, 1].max()) for name, values in crossed.items()},
        "seconds": {"median": float(np.median(seconds)), "first": seconds[0]},
        "splats": [min(splats), int(np.median(splats)), max(splats)],
    }
    print(json.dumps(figures, indent=1))
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(figures, indent=1))


def _worst(over: np.ndarray, head: AnnyHead, seed: int) -> tuple[float, str, int]:
    worst = int(over.argmax())
    return float(over[worst]), head.expressions[worst], seed


def _summary(rows: list[tuple[float, str, int]]) -> dict[str, object]:
    worst = max(rows)
    over = sum(row[0] > MARGIN for row in rows)
    return {"heads": len(rows), "worst": worst[0], "in": worst[1], "seed": worst[2], f"over_{MARGIN}_mm": over}


def _closest(values: np.ndarray) -> dict[str, float]:
    """Returns the smallest and the median distance between rows."""
    squares = (values**2).sum(1)
    distance = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * values @ values.T, 0))
    upper = distance[np.triu_indices(len(values), 1)]
    return {"smallest": float(upper.min()), "median": float(np.median(upper))}


if __name__ == "__main__":
    main()
