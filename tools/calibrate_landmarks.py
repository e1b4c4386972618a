"""Calibrates the landmark network on the default head: `python -m tools.calibrate_landmarks`.

Renders the head in known poses, identities and expressions, runs the network, and writes
`avatar3d/heads/data/landmarks.safetensors`: the surface point of each landmark, how far it wanders, how far it moves
with each expression, and how its error depends on the head's turn. Run it again whenever the head changes. A minute.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from avatar3d import heads
from avatar3d.store import replacing
from avatar3d.track.embedding import POINTS, SKIN, Embedding, closest, fingerprint, place
from avatar3d.track.energy import turn_terms
from tools.studio import BROW, LIP, Portrait, Shot, Studio, varied

OUTPUT = Path(__file__).parents[1] / "avatar3d" / "heads" / "data" / "landmarks.safetensors"
LOWER = [95, 88, 178, 87, 14, 317, 402, 318, 324]
UPPER = [191, 80, 81, 82, 13, 312, 311, 310, 415]
LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
BROWS = ([70, 63, 105, 66, 107, 55, 65, 52, 53, 46], [300, 293, 334, 296, 336, 285, 295, 282, 283, 276])
DEGREE = np.pi / 180


def identities(studio: Studio, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Returns the mean and `count` random heads, somewhat tamer than the prior."""
    size = len(studio.head.identities)
    return [np.zeros(size)] + [np.clip(rng.normal(0, 0.7, size), -1.5, 1.5) for _ in range(count)]


def hits(studio: Studio, shot: Portrait, opened: bool) -> np.ndarray:
    """Returns the surface point under each skin landmark on the neutral head (468 3), NaN where not to be trusted."""
    rest, faces = studio.rest, studio.faces
    skin_face = np.asarray(studio.skin[faces].all(axis=1))
    at = np.clip(np.floor(shot.landmarks[:SKIN, :2]), 0, np.array(shot.face.shape[::-1]) - 1).astype(int)
    face, bary = shot.face[at[:, 1], at[:, 0]], shot.bary[at[:, 1], at[:, 0]]
    corners = shot.vertices[faces[face]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    point = (corners * bary[..., None]).sum(1)
    cosine = np.abs((normal * point).sum(1)) / (np.linalg.norm(normal, axis=1) * np.linalg.norm(point, axis=1) + 1e-12)
    out = (rest[faces[face]] * bary[..., None]).sum(1)
    direct = (face >= 0) & skin_face[face] & (cosine > 0.35)  # grazing hits slide
    visible = (shot.face >= 0) & skin_face[shot.face]
    low = np.asarray(_lower(studio)[faces].all(axis=1))
    halves = {False: visible & low[shot.face], True: visible & ~low[shot.face]}
    for k in range(SKIN):
        inner = k in LOWER or k in UPPER
        if direct[k] and not opened and not inner:
            continue
        found = None
        if inner and opened:
            found = _nearest(halves[k in UPPER], shot.landmarks[k, :2], 8)
        elif not inner and not opened:
            found = _nearest(visible, shot.landmarks[k, :2], 3)
        if found is None:
            out[k] = np.nan
        else:
            out[k] = (rest[faces[shot.face[found]]] * shot.bary[found][:, None]).sum(0)
    return out


def embed(studio: Studio, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns triangle, barycentrics and spread (mm) of each landmark: the median hit over many portraits."""
    people = identities(studio, count, rng)
    zero = np.zeros(len(studio.head.expressions))
    jaw = zero.copy()
    jaw[studio.head.expressions.index("jawOpen")] = 1
    shots = [
        (people[0], Shot(y * DEGREE, p * DEGREE), 0.0) for y in (-30, -20, -10, 0, 10, 20, 30) for p in (-10, 0, 10)
    ]
    shots += [(who, Shot(y * DEGREE), 0.0) for who in people[1:] for y in (-18, 0, 18)]
    shots += [(who, Shot(y * DEGREE), float(rng.uniform(0.2, 0.5))) for who in people for y in (-12, 0, 12)]
    found = []
    for who, shot, opening in shots:
        portrait = studio.take(varied(shot, rng), who, opening * jaw)
        if np.isfinite(portrait.landmarks).all():
            found.append(hits(studio, portrait, opening > 0))
    points = np.stack(found)
    median = np.nanmedian(points, 0)
    spread = np.nanmedian(np.linalg.norm(points - median, axis=2), 0) * 1e3
    face, bary = np.zeros(POINTS, int), np.zeros((POINTS, 3))
    low = _lower(studio)  # of closed lips, which touch: each landmark belongs on its own
    for k in range(SKIN):
        part = studio.skin & (low if k in LOWER else ~low if k in UPPER else True)
        face[k], bary[k] = _closest(studio, median[k], part)
    for k, target in enumerate(_irises(studio), SKIN):
        face[k], bary[k] = _closest(studio, target, studio.eyes[1] if k < 473 else studio.eyes[0])
    return face, bary, np.concatenate([spread, np.full(POINTS - SKIN, 0.5)])


def respond(studio: Studio) -> np.ndarray:
    """Returns the detected motion of each landmark per unit of each expression, head x and y, metres (52 478 2)."""
    nobody, names = np.zeros(len(studio.head.identities)), studio.head.expressions
    base = np.zeros((len(names), len(names)))
    base[names.index("mouthClose"), names.index("jawOpen")] = _AMOUNT  # it closes an open jaw's lips
    rows = []
    for yaw in (-15, 0, 15):
        shot = Shot(yaw * DEGREE)
        metres = 0.24 / 300 / np.array([np.cos(shot.yaw), -1.0])
        rest = studio.take(shot, nobody, base[0]).landmarks
        row = []
        for i in range(len(names)):
            start = studio.take(shot, nobody, base[i]).landmarks if base[i].any() else rest
            row.append(studio.take(shot, nobody, base[i] + _AMOUNT * np.eye(len(names))[i]).landmarks - start)
        rows.append(np.stack(row)[..., :2] * metres / _AMOUNT)
    return np.nanmedian(np.stack(rows), 0)


def turning(studio: Studio, embedding: Embedding, rng: np.random.Generator, count: int = 200) -> np.ndarray:
    """Returns how the landmarks' error depends on pitch and yaw: 6 478 2 coefficients of (1, p, y, pp, py, yy), metres.

    Errors are detected minus true, in the image turned upright; the constant is left to the embedding.
    """
    rows, values = [], []
    people = identities(studio, 40, rng)
    for n in range(count):
        yaw, pitch, roll = rng.uniform(-30, 30), rng.uniform(-18, 18), rng.uniform(-8, 8)
        shot = varied(Shot(yaw * DEGREE, pitch * DEGREE, roll * DEGREE), rng)
        zero = np.zeros(len(studio.head.expressions))
        portrait = studio.take(shot, people[n % len(people)], zero)
        if not np.isfinite(portrait.landmarks).all():
            continue
        true = place(portrait.vertices, studio.faces, embedding)
        pixels = true[:, :2] / -true[:, 2:] * shot.focal * np.array([1, -1]) + 256
        error = (portrait.landmarks[:, :2] - pixels) * 0.24 / 300
        cos, sin = np.cos(shot.roll), np.sin(shot.roll)
        rows.append(turn_terms(np.array([shot.pitch]), np.array([shot.yaw]))[0])
        values.append(error @ np.array([[cos, -sin], [sin, cos]]).T)
    A, b = np.stack(rows), np.stack(values).reshape(len(rows), -1)
    ridge = 1e-3 * len(A) * np.eye(A.shape[1])
    return np.linalg.solve(A.T @ A + ridge, A.T @ b).reshape(-1, POINTS, 2)


def _closest(studio: Studio, point: np.ndarray, part: np.ndarray) -> tuple[int, np.ndarray]:
    """Returns the triangle of a part nearest to a point, and the barycentrics there."""
    index = np.flatnonzero(part[studio.faces].all(1))
    best, weights = closest(studio.rest, studio.faces[index], point)
    return int(index[best]), weights


def _lower(studio: Studio) -> np.ndarray:
    """Returns a mask of the vertices that follow the jaw: the lower lip nearly as far as the chin, the upper hardly."""
    expression = np.zeros(len(studio.head.expressions))
    expression[studio.head.expressions.index("jawOpen")] = 1
    moved = studio.vertices(np.zeros(len(studio.head.identities)), expression) - studio.rest
    drop = np.linalg.norm(moved, axis=1) * studio.skin
    return drop > 0.25 * drop.max()


def _nearest(mask: np.ndarray, at: np.ndarray, radius: int) -> tuple[int, int] | None:
    """Returns the (row, column) of a mask nearest to a point, within a radius."""
    x0, y0 = max(0, int(at[0]) - radius), max(0, int(at[1]) - radius)
    rows, columns = np.nonzero(mask[y0 : int(at[1]) + radius + 1, x0 : int(at[0]) + radius + 1])
    if len(rows) == 0:
        return None
    away = (rows + y0 + 0.5 - at[1]) ** 2 + (columns + x0 + 0.5 - at[0]) ** 2
    best = int(away.argmin())
    return (int(rows[best] + y0), int(columns[best] + x0)) if away[best] < radius**2 else None


def _irises(studio: Studio) -> list[np.ndarray]:
    """Returns targets of the ten iris landmarks: centre, then the iris' edge (viewer's right, up, left, down)."""
    out = []
    for eye in (studio.eyes[1], studio.eyes[0]):
        ball = studio.rest[eye]
        low, high = ball.min(0), ball.max(0)
        radius = (high[0] - low[0]) / 2
        centre = np.array([*(low + high)[:2] / 2, high[2] - radius])
        out.append(centre + np.array([0, 0, radius]))
        out += [centre + radius * np.array([np.sin(0.37) * x, np.sin(0.37) * y, np.cos(0.37)]) for x, y in _RING]
    return out


_AMOUNT = 0.7
"""Of each expression when its response is measured: well seen, and inside the range the network was taught."""
_RING = ((1, 0), (0, 1), (-1, 0), (0, -1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    studio = Studio(heads.load("anny"))
    face, bary, spread = embed(studio, np.random.default_rng(1), 4)
    points = (studio.rest[studio.faces[face]] * bary[..., None]).sum(1)
    studio.paint(points[LIPS], LIP)
    for brow in BROWS:
        studio.paint(points[brow], BROW)
    # Again with painted lips and brows, which the network looks for.
    face, bary, spread = embed(studio, np.random.default_rng(1), 12)
    points = (studio.rest[studio.faces[face]] * bary[..., None]).sum(1)
    response = respond(studio)
    spread = np.nan_to_num(spread, nan=6.0)
    plain = Embedding(face, bary, spread, response, np.zeros((6, POINTS, 2)), points, fingerprint(studio.head))
    turn = turning(studio, plain, np.random.default_rng(2))
    about = {
        "topology": plain.topology,
        "about": json.dumps(
            {
                "made_by": "tools/calibrate_landmarks.py",
                "head": studio.head.name,
                "network": "MediaPipe face_landmarker.task (Apache-2.0), run on renders of the head",
            }
        ),
    }
    tensors = {
        "face": face.astype(np.int32),
        "bary": bary.astype(np.float32),
        "spread": spread.astype(np.float32),
        "response": response.astype(np.float16),
        "point": points.astype(np.float32),
        "turning": turn.astype(np.float32),
    }
    with replacing(options.output) as temporary:
        temporary.write_bytes(save(tensors, about))
    print(f"{options.output}: spread median {np.median(spread):.2f} mm, 90 % below {np.percentile(spread, 90):.2f} mm")


if __name__ == "__main__":
    main()
