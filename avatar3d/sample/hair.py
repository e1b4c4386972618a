"""Hair as strands that are combed over the head and shaded like hair, and beards."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from avatar3d.sample import light, noise
from avatar3d.sample.layers import Layer, along, encoded, linear, unit
from avatar3d.sample.noise import step
from avatar3d.sample.skin import Canvas
from avatar3d.sample.styles import STYLES, Style

# Hairline seen from the side: at these heights hair grows behind these depths (mean head, millimetres).
_LINE_Y = (-78, -62, -30, -24, -12, 10, 30, 45, 55, 62, 67, 76)
_LINE_Z = (-135, -104, -96, -42, -33, -27, -20, -12, -4, 7, 26, 60)
_CENTRE = np.array((0.0, 0.015, -0.075))  # of the skull, metres
_STILL = 2.5e-4  # metres: scalp that moves less than this in every expression carries hair
_VIEWER = np.array((0.0, 0.1, 0.99))


@dataclass(frozen=True)
class Strands:
    """Hairs as chains of points, metres on the head at rest."""

    points: Float[np.ndarray, "n k 3"]
    depth: Float[np.ndarray, " n"]
    """How far out in the hair each lies: 0 on the scalp, 1 outside."""
    width: Float[np.ndarray, "n k-1"]
    """Standard deviation across, metres."""


def grows(canvas: Canvas, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """Returns how much hair grows at places of the mean head, in [0, 1]."""
    y, z = points[:, 1] * 1e3, points[:, 2] * 1e3
    line = np.interp(y, _LINE_Y, _LINE_Z)
    # Hairlines recede at the temples first, then on the crown.
    temple = np.exp(-(((np.abs(points[:, 0]) * 1e3 - 42) / 22) ** 2)) * step(y, 35, 60)
    line = line - canvas.person.receding * (34 * temple + 22 * step(y, 50, 70))
    ragged = 2.5 * noise.field(points, 0.008, canvas.rng("hairline"))
    inside = step(line - z + ragged, -2.5, 6.0) * step(y, -82, -70)
    bald = canvas.person.receding * np.exp(-(((z + 105) / 42) ** 2)) * step(y, 62, 95)
    return inside * np.clip(1 - 1.3 * bald, 0, 1)


def scalp(canvas: Canvas) -> Float[np.ndarray, " n"]:
    """Returns how much of the hair's colour each place of the surface takes, so that no skin shines through."""
    place = canvas.surface
    style = STYLES[canvas.person.hair]
    if not style.count:
        return np.zeros(len(place.face))
    outer = (place.region("ears") < 0.3) & (place.region("mouth_interior") < 0.5) & (place.region("eyes") < 0.5)
    return grows(canvas, place.points) * outer * style.base


def hair(canvas: Canvas) -> list[Layer]:
    """Returns the hair on the head."""
    style = STYLES[canvas.person.hair]
    if not style.count:
        return []
    rng = canvas.rng("hair")
    roots, normals, weight = _roots(canvas, style.count, rng)
    strands = _grown(canvas, style, roots, normals, weight, rng)
    layers = [_painted(canvas, strands, rng)]
    if style.knot is not None:
        layers.append(_painted(canvas, _knot(style, rng), rng))
    return layers


def _roots(canvas: Canvas, count: int, rng: np.random.Generator):
    """Returns points on the scalp with their normals, spread by area, and how densely hair grows there."""
    faces = canvas.surface.head.faces.numpy()
    template = canvas.surface.head.template.double().numpy()
    regions = canvas.surface.head.regions
    outer = np.maximum(regions["ears"].numpy(), regions["mouth_interior"].numpy())[faces].max(-1) < 0.3
    outer &= regions["eyes"].numpy()[faces].max(-1) < 0.5
    middle = template[faces].mean(1)
    chosen = np.flatnonzero(outer & (grows(canvas, middle) > 0.02))
    corners = canvas.vertices[faces[chosen]]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    face = rng.choice(chosen, 2 * count, p=area / area.sum())
    a, b = rng.random((2, 2 * count))
    a = np.sqrt(a)
    bary = np.stack([1 - a, a * (1 - b), a * b], -1)
    weight = grows(canvas, (template[faces[face]] * bary[..., None]).sum(1))
    kept = np.flatnonzero(rng.random(2 * count) < weight)[:count]
    return canvas.point(face[kept], bary[kept]), canvas.normal(face[kept], bary[kept]), weight[kept]


def _grown(canvas: Canvas, style: Style, roots, normals, weight, rng: np.random.Generator) -> Strands:
    """Returns the strands, grown step by step: combed first, then falling, never inside the head or before the face."""
    person, n = canvas.person, len(roots)
    outside = np.flatnonzero(canvas.surface.head.regions["skin"].numpy() > 0.5)
    tree = KDTree(canvas.vertices[outside])
    top = step(unit(roots - _CENTRE)[:, 1], 0.15, 0.8)
    front = step(roots[:, 2], -0.05, 0.01) * top
    depth = rng.random(n) ** 0.7
    length = style.length * (style.side + (1 - style.side) * top) * person.hair_length * rng.uniform(0.75, 1.05, n)
    length = length * (0.45 + 0.55 * weight)
    fringe = (rng.random(n) < person.fringe * style.fringe) & (front > 0.35)
    length = np.where(fringe, np.minimum(length, rng.uniform(0.055, 0.075, n)), length)
    comb = style.comb(roots, top, person.parting)
    comb = np.where(fringe[:, None], np.array((0.0, -0.35, 1.0)) + comb * (0.3, 0, 0), comb)
    if not style.upright:
        comb = comb - (comb * normals).sum(-1, keepdims=True) * normals * 0.9
    comb = unit(comb)
    # Strands next to each other belong to one lock and go the same way.
    lock = np.stack([noise.field(roots, style.lock, rng) for _ in range(3)], -1)
    wild = style.wild * (0.8 * lock + 0.5 * rng.normal(size=(n, 3)))
    ahead = unit(normals * style.lift + comb + wild * 0.6)
    stride = (length / style.steps)[:, None]
    height = (0.8e-3 + style.volume * (0.25 + 0.75 * depth) * (0.55 + 0.45 * top)) * np.where(fringe, 0.5, 1.0)
    place, path = roots.copy(), [roots.copy()]
    for k in range(1, style.steps + 1):
        t = k / style.steps
        pull = style.gravity * min(1.0, 1.6 * t)
        ahead = unit(ahead * style.stiff + comb * style.combed * (1 - t) + np.array((0, -1.0, 0)) * pull + wild * 0.25)
        place = place + ahead * stride
        for _ in range(2):
            place = _kept_off(canvas, outside, tree, place, height * min(1.0, 2.2 * t), style.cling)
        place = _off_face(place, fringe, style)
        moved = unit(place - path[-1])
        ahead = unit(0.5 * ahead + 0.5 * moved)
        path.append(place.copy())
    points = np.stack(path, 1)
    if style.curl:
        points = _curled(points, style, rng, lock)
    if style.length > 0.08:  # no stray hair across the face
        x, y, z = np.moveaxis(points, -1, 0)
        before = (np.abs(x) < 0.052) & (z > 0.0) & (y < 0.05) & (y > -0.13)
        clear = fringe | ~before.any(1)
        points, depth, n = points[clear], depth[clear], int(clear.sum())
    taper = np.linspace(1.0, 0.55, style.steps)
    width = style.width * rng.uniform(0.7, 1.25, n)[:, None] * taper
    return Strands(points, depth, width)


def _kept_off(canvas: Canvas, outside: np.ndarray, tree: KDTree, place: np.ndarray, height, cling: float) -> np.ndarray:
    """Returns points moved out to at least `height` over the skin, and part of the way back in to it."""
    nearest = outside[np.asarray(tree.query(place, workers=1)[1])]
    normal = canvas.normals[nearest]
    above = ((place - canvas.vertices[nearest]) * normal).sum(-1)
    out = np.clip(height - above, 0, 0.02)
    back = np.clip(above - height, 0, None) * cling * (canvas.vertices[nearest][:, 1] > -0.06)
    return place + normal * (out - back)[:, None]


def _off_face(place: np.ndarray, fringe: np.ndarray, style: Style) -> np.ndarray:
    """Returns points moved aside from the face."""
    if style.length < 0.08:
        return place
    x = np.abs(place[:, 0])
    wide = 0.068 - 0.012 * step(place[:, 1], -0.06, -0.13)
    before = step(place[:, 2], -0.045, -0.015) * step(place[:, 1], 0.055, 0.02) * ~fringe
    aside = np.clip(wide - x, 0, 0.008) * before
    out = place.copy()
    out[:, 0] += np.where(place[:, 0] >= 0, 1, -1) * aside
    out[:, 2] -= 0.6 * aside
    return out


def _curled(points: np.ndarray, style: Style, rng: np.random.Generator, lock: np.ndarray) -> np.ndarray:
    """Returns strands wound around their own way."""
    n = len(points)
    way = unit(np.gradient(points, axis=1))
    side = unit(np.cross(way, unit(rng.normal(size=(n, 1, 3)) * 0.35 + np.array((0.2, 0.3, 0.93)))))
    other = np.cross(way, side)
    at = np.concatenate([np.zeros((n, 1)), np.linalg.norm(np.diff(points, axis=1), axis=-1).cumsum(1)], 1)
    turn = 2 * np.pi * at / style.pitch + (lock[:, :1] * 1.7 + rng.normal(0, 0.5, (n, 1)))
    swell = style.curl * np.minimum(1, at / (0.6 * style.pitch)) * rng.uniform(0.7, 1.2, (n, 1))
    return points + swell[..., None] * (np.cos(turn)[..., None] * side + np.sin(turn)[..., None] * other)


def _knot(style: Style, rng: np.random.Generator) -> Strands:
    """Returns a bun: strands wound around a ball; or a tail that falls from where the hair is tied."""
    assert style.knot is not None
    x, y, z, size = style.knot
    centre = np.array((x, y, z))
    if style.tail:
        n, k = 420, 12
        t = np.linspace(0, 1, k + 1)
        spread = rng.normal(0, 1, (n, 2)) * 0.007
        fan = (0.55 + 0.9 * np.sin(np.pi * np.minimum(1, 0.25 + 0.75 * t)))[None, :]
        fall = style.tail * rng.uniform(0.7, 1.0, (n, 1)) * t
        back = 0.035 * np.minimum(1, 3 * t) - 0.012 * t
        points = np.stack(
            [
                x + spread[:, :1] * fan,
                y - fall + 0.012 * np.sin(np.pi * np.minimum(1, 2 * t)),
                z - back + spread[:, 1:] * fan,
            ],
            -1,
        )
        depth = np.clip(np.linalg.norm(spread, axis=1) / 0.012, 0, 1)
        return Strands(points, depth, np.full((n, k), 0.9e-3))
    n, k = 420, 8
    axis = unit(np.array((0.0, 0.35, -1.0)))
    u = unit(np.cross(axis, (1.0, 0.2, 0.0)))
    v = np.cross(axis, u)
    turn = rng.uniform(0, 2 * np.pi, (n, 1)) + np.linspace(0, 1.5, k + 1)
    lean = rng.uniform(0.15, 1.45, (n, 1)) + 0.25 * np.linspace(0, 1, k + 1)
    radius = size * (0.82 + 0.22 * rng.random((n, 1)))
    ring = np.cos(turn)[..., None] * u + np.sin(turn)[..., None] * v
    points = centre + radius[..., None] * (np.sin(lean)[..., None] * ring + 0.75 * np.cos(lean)[..., None] * axis)
    return Strands(points, np.clip((radius[:, 0] / size - 0.82) / 0.22, 0, 1), np.full((n, k), 0.9e-3))


def _painted(canvas: Canvas, strands: Strands, rng: np.random.Generator) -> Layer:
    """Returns strands as splats: one for each step, lit after Kajiya and Kay (SIGGRAPH 1989), darker inside."""
    person = canvas.person
    n, k = len(strands.points), strands.points.shape[1] - 1
    start, end = strands.points[:, :-1].reshape(-1, 3), strands.points[:, 1:].reshape(-1, 3)
    middle, way = (start + end) / 2, end - start
    long = np.linalg.norm(way, axis=1)
    way = unit(way)
    nearest = np.asarray(KDTree(canvas.vertices).query(middle, workers=1)[1])
    out = unit(0.6 * canvas.normals[nearest] + 0.8 * unit(middle - (_CENTRE - np.array((0, 0.03, 0)))))
    grey = rng.random(n) < person.grey
    # A lock turns grey hair by hair: white ones among those that have their colour still.
    white = (0.45 + 0.55 * person.grey) * np.array((0.74, 0.73, 0.71)) + (0.55 - 0.55 * person.grey) * np.array(
        person.hair_colour
    )
    base = np.where(grey[:, None], white, np.array(person.hair_colour))
    base = linear(base) * np.exp(rng.normal(0, 0.12, n))[:, None] * np.exp(rng.normal(0, 0.05, (n, 3)))
    along_strand = np.tile((np.arange(k) + 0.5) / k, n)
    colour = np.repeat(base, k, 0) * (0.72 + 0.4 * along_strand)[:, None]
    depth = np.repeat(strands.depth, k)
    sheltered = 0.5 + 0.5 * np.clip(depth * (0.55 + 0.6 * along_strand), 0, 1)
    near = canvas.baked.light[nearest].mean(-1) / np.maximum(light.open_light(canvas.normals[nearest]).mean(-1), 1e-3)
    falls = light.open_light(out) * (sheltered * (0.45 + 0.55 * np.clip(near, 0, 1)))[:, None]
    across = np.sqrt(np.clip(1 - (way @ light.KEY) ** 2, 0, 1))
    half = unit((light.KEY + _VIEWER)[None])[0]
    shine = np.clip(1 - (way @ half) ** 2, 0, 1) ** 14 * np.clip(out @ half, 0, 1) ** 2 * sheltered
    lit = colour * falls * (0.45 + 0.65 * across)[:, None]
    lit = lit + (0.10 * shine)[:, None] * (0.35 + np.sqrt(np.clip(colour, 0, 1))) * 0.9
    face, bary = _carriers(canvas, np.repeat(strands.points[:, 0], k, 0))
    rotation = canvas.frames.rotation[face].transpose(0, 2, 1)
    offset = (rotation @ (middle - canvas.point(face, bary))[..., None])[..., 0]
    axes = along((rotation @ way[..., None])[..., 0], (rotation @ out[..., None])[..., 0])
    width = strands.width.reshape(-1)
    sizes = np.stack([0.42 * long + 0.3e-3, width * 0.7, width], -1)
    return Layer(face, bary, offset, axes, sizes, np.full(len(face), 0.9), encoded(lit))


def _carriers(canvas: Canvas, roots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nearest triangles of the scalp that no expression moves: a long hair would magnify a small turn."""
    head = canvas.surface.head
    faces = head.faces.numpy()
    moves = head.deltas.norm(dim=-1).amax(0).numpy()[faces].max(-1)
    still = np.flatnonzero((head.regions["scalp"].numpy()[faces].min(-1) > 0.5) & (moves < _STILL))
    found = still[np.asarray(KDTree(canvas.vertices[faces[still]].mean(1)).query(roots, workers=1)[1])]
    return found, np.full((len(found), 3), 1 / 3)
