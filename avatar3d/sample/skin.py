"""Skin, lips, teeth and the whites of the eyes as splats that cover the head's surface."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from avatar3d.sample import light, noise
from avatar3d.sample.layers import Frames, Layer, encoded, join, linear, unit
from avatar3d.sample.noise import spot, step
from avatar3d.sample.person import Person
from avatar3d.sample.surface import Surface, frames_of, on_mesh, surface, vertex_normals

# Skin from the palest to the darkest, sRGB, at melanin 0, 0.2, 0.4, 0.6, 0.8 and 1; read off the Monk scale's middle
# and the ends' photographs, and evened out.
_TONES = np.array(
    [
        (0.950, 0.815, 0.755),
        (0.905, 0.735, 0.640),
        (0.800, 0.610, 0.480),
        (0.640, 0.450, 0.330),
        (0.490, 0.330, 0.240),
        (0.345, 0.235, 0.180),
    ]
)
_BLOOD = np.array((-0.06, -0.42, -0.34))  # of the colour, for full redness
_WIDTH, _THICKNESS = 0.70, 0.14  # of the distance between splats: closed, and not more blurred than that needs
_VIEWER = np.array((0.0, 0.12, 1.0)) / np.linalg.norm((0.0, 0.12, 1.0))


@dataclass(frozen=True)
class Over:
    """Something on the skin."""

    amount: Float[np.ndarray, " n"]
    """How far it hides the skin, in [0, 1]."""
    colour: Float[np.ndarray, "#n 3"]
    """sRGB."""
    lift: Float[np.ndarray, " n"] | float = 0.0
    """Height over the skin, metres."""


@dataclass(frozen=True)
class Canvas:
    """A head at rest that layers are painted on."""

    person: Person
    surface: Surface
    vertices: Float[np.ndarray, "v 3"]
    normals: Float[np.ndarray, "v 3"]
    frames: Frames
    baked: light.Baked

    def rng(self, name: str) -> np.random.Generator:
        """Returns the random numbers of one layer: what one takes does not change the others."""
        return np.random.default_rng([self.person.seed, *name.encode()])

    def point(self, face: np.ndarray, bary: np.ndarray) -> np.ndarray:
        """Returns points of triangles on this head, metres."""
        return on_mesh(self.vertices, self.surface.head, face, bary)

    def normal(self, face: np.ndarray, bary: np.ndarray) -> np.ndarray:
        """Returns the smooth normal there."""
        return unit(on_mesh(self.normals, self.surface.head, face, bary))

    def lit(self, face: np.ndarray, bary: np.ndarray, soft: bool = True) -> np.ndarray:
        """Returns the light that falls there, linear."""
        return on_mesh(self.baked.soft if soft else self.baked.light, self.surface.head, face, bary)

    def hue(self, values: np.ndarray) -> np.ndarray:
        """Returns the person's skin of melanin moved by `values`, sRGB."""
        return tone(np.clip(self.person.melanin + values, 0, 1))


def canvas(person: Person, vertices: Float[np.ndarray, "v 3"]) -> Canvas:
    """Returns the head at rest with its light."""
    import torch

    place = surface()
    faces = place.head.faces.numpy()
    normals = vertex_normals(vertices, faces)
    frames = frames_of(torch.from_numpy(vertices), place.head)
    return Canvas(person, place, vertices, normals, frames, light.bake(vertices, faces, normals))


def tone(melanin: np.ndarray) -> np.ndarray:
    """Returns the colour of skin, sRGB."""
    at = np.clip(melanin, 0, 1) * (len(_TONES) - 1)
    low = np.minimum(at.astype(np.int64), len(_TONES) - 2)
    part = (at - low)[..., None]
    return _TONES[low] * (1 - part) + _TONES[low + 1] * part


def cover(canvas: Canvas, over: tuple[Over, ...] = ()) -> Layer:
    """Returns the closed surface: skin of the bust, lips, mouth and eyeballs.

    Args:
        canvas: The head.
        over: What lies on the skin: hair at the scalp, a shaved beard, cloth.
    """
    place, n = canvas.surface, len(canvas.surface.face)
    colour = _skin(canvas)
    inside = place.region("mouth_interior")
    for paint in (_lips, _mouth, _eyeballs):
        colour = paint(canvas, colour)
    matte, lift = np.ones(n), np.zeros((n, 3))
    for layer in over:
        amount = layer.amount[:, None]
        colour = colour * (1 - amount) + layer.colour * amount
        matte = matte * (1 - layer.amount)
        lift[:, 1] += layer.lift
    normal = canvas.normal(place.face, place.bary)
    eyes = place.region("eyes")
    lit = canvas.lit(place.face, place.bary)
    # The mouth is dark as long as it is closed, which is when light was measured: what opens must be seen.
    lit = np.where(inside[:, None] > 0.5, _mouth_light(place.points)[:, None], lit)
    lit = np.where(eyes[:, None] > 0.5, np.maximum(canvas.lit(place.face, place.bary, False), 0.16) * 0.96 + 0.04, lit)
    lids = place.region("lids")[:, None]
    lit = np.where(lids > 0, lit * (1 - lids) + np.maximum(lit, 0.34) * lids, lit)  # folded ones open as eyes close
    bright = linear(colour) * lit + (_gloss(canvas, normal, lit) * matte)[:, None]
    # Where the surface is folded or stretched at rest, a triangle's size says little of the way to the neighbours.
    width = place.width * np.clip(canvas.frames.scale[place.face], 0.75 * place.spread, 1.3 * place.spread)
    sizes = np.stack([_WIDTH * width, _THICKNESS * width, _WIDTH * width], -1)
    axes = np.broadcast_to(np.eye(3), (n, 3, 3)).copy()
    opacity = np.full(n, 0.98)
    shown = Layer(place.face, place.bary, lift, axes, sizes, opacity, encoded(bright))
    return join([shown, _lining(canvas, shown)])


def _lining(canvas: Canvas, shown: Layer) -> Layer:
    """Returns wide splats just below the skin, which close what gaps stretching opens between those above."""
    place = canvas.surface
    thin = np.maximum(place.region("lids"), place.region("lips")) + place.region("ears") + place.region("eyes")
    thin = thin + place.region("mouth_interior") + place.region("sockets")
    thin = thin + spot(place.points, (6.6, -51.5, 33), (6, 5, 7))
    some = np.flatnonzero((thin < 0.1) & (np.arange(len(place.face)) % 3 == 0))
    lining = shown.gather(some)
    lining.offset[:, 1] -= 1.1e-3
    return Layer(**{**vars(lining), "sizes": lining.sizes * (1.9, 1.0, 1.9)})


def _skin(canvas: Canvas) -> np.ndarray:
    person, rng, place = canvas.person, canvas.rng("skin"), canvas.surface
    p = place.points
    worn = person.wrinkles
    patches = 0.030 * noise.field(p, 0.035, rng) + 0.022 * noise.field(p, 0.012, rng)
    grain = 0.016 * noise.field(p, 0.0035, rng) + 0.012 * rng.normal(size=len(p))
    age_spots = 0.16 * step(noise.field(p, 0.007, rng), 2.0, 2.6) * worn
    socket = spot(p, (31, -2, 14), (19, 13, 16))
    under = spot(p, (29, -15, 14), (14, 5.5, 14))
    dark = 0.035 * socket + (0.03 + 0.05 * worn) * under
    dark = dark + 0.02 * step(p[:, 1], -0.10, -0.135) - 0.02 * spot(p, (0, 45, 30), (30, 20, 30))
    colour = canvas.hue((patches + grain + age_spots) * (0.8 + 0.1 * person.melanin) + dark)
    red = spot(p, (40, -32, 15), (19, 17, 30)) + 0.9 * spot(p, (0, -38, 44), (13, 12, 14))
    red = (
        red
        + 0.7 * place.region("ears") * step(np.abs(p[:, 0]), 0.066, 0.076)
        + 0.3 * spot(p, (0, -108, 20), (22, 12, 20))
        + 0.35 * under
    )
    red = red * (0.3 + 0.7 * person.redness) + 0.3 * socket + 0.10 * step(noise.field(p, 0.018, rng), -0.2, 1.8)
    capillaries = step(np.abs(noise.field(p, 0.006, rng)), 0.12, 0.0) * (0.1 + 0.3 * worn) * np.clip(red, 0, 1)
    blood = np.clip((red + capillaries) * 0.42 * (1 - 0.45 * person.melanin), 0, 1)
    colour = colour * (1 + _BLOOD * blood[:, None])
    return _shadow(canvas, np.clip(colour, 0, 1))


def _shadow(canvas: Canvas, colour: np.ndarray) -> np.ndarray:
    """Returns the colours with eye shadow on the upper lids and the nostrils' dark."""
    p = canvas.surface.points
    nostril = spot(p, (6.6, -51.5, 33), (3.6, 2.6, 4.2))
    colour = colour * (1 - 0.75 * np.clip(nostril, 0, 1)[:, None])
    if canvas.person.shadow <= 0:
        return colour
    lid = spot(p, (31, 9, 18), (17, 7, 12)) * step(p[:, 1], -0.001, 0.003)
    tint = np.array(((0.42, 0.28, 0.26), (0.35, 0.30, 0.36), (0.50, 0.36, 0.28))[canvas.rng("shadow").integers(3)])
    amount = (0.55 * canvas.person.shadow * np.clip(lid, 0, 1))[:, None]
    return colour * (1 - amount) + np.minimum(tint, colour) * amount


def _lips(canvas: Canvas, skin: np.ndarray) -> np.ndarray:
    person, rng, p = canvas.person, canvas.rng("lips"), canvas.surface.points
    natural = tone(np.array([person.melanin]))[0]
    young = 1 - 0.35 * person.wrinkles
    natural = natural * (1 + np.array((-0.06, -0.36, -0.27)) * (0.85 + 0.3 * person.redness) * young)
    natural = natural * (1 - 0.10 * person.melanin)
    painted = natural * (1 - 0.8 * person.lipstick) + np.array(person.lips) * 0.8 * person.lipstick
    lines = 1 - 0.07 * step(np.sin(p[:, 0] * 1e3 * 2.6 + 1.4 * noise.field(p, 0.006, rng)), 0.2, 1.0)
    colour = painted * (lines * (1 + 0.05 * noise.field(p, 0.004, rng)))[:, None]
    # The upper lip looks down and is darker; the lower one's middle is full.
    colour = colour * (0.93 + 0.1 * step(p[:, 1], -0.070, -0.076))[:, None]
    weight = _vermilion(p, 0.35e-3 * noise.field(p, 0.004, rng))
    inner = (canvas.surface.region("lips") > 0.9) & (p[:, 2] < 0.029)
    weight = np.where(inner, 1.0, weight * (p[:, 2] > 0.012))[:, None]
    return np.clip(skin * (1 - weight) + colour * weight, 0, 1)


def _vermilion(p: np.ndarray, ragged: np.ndarray) -> np.ndarray:
    """Returns how far places lie inside the lips' outline: an arc above with Cupid's bow, a fuller one below."""
    x = np.abs(p[:, 0]) * 1e3
    arc = np.clip(1 - (x / 25.4) ** 2, 0, 1) ** 0.75
    bow = 0.7 * np.exp(-(((x - 5.5) / 3.5) ** 2)) - 0.5 * np.exp(-((x / 2.2) ** 2))
    y = p[:, 1] * 1e3 + 73.4 + ragged * 1e3
    inside = np.where(y > 0, 4.7 * arc + bow - y, 7.0 * arc + y)
    return step(inside, -0.7, 1.0) * (x < 26)


def _mouth(canvas: Canvas, colour: np.ndarray) -> np.ndarray:
    place, rng = canvas.surface, canvas.rng("mouth")
    p = place.points
    out = colour.copy()
    rosy = np.array((0.60, 0.28, 0.27)) * (1 - 0.25 * canvas.person.melanin)
    out[place.region("mouth_interior") > 0.5] = rosy * 0.62
    gums = place.region("gums") > 0.5
    out[gums] = rosy * 1.1
    tongue = place.region("tongue") > 0.5
    grain = 1 + 0.06 * noise.field(p[tongue], 0.002, rng)
    groove = 1 - 0.25 * np.exp(-((p[tongue, 0] / 1.5e-3) ** 2))
    out[tongue] = np.array((0.70, 0.36, 0.35)) * (grain * groove)[:, None]
    teeth = place.region("teeth") > 0.5
    out[teeth] = _teeth(canvas, p[teeth], rng)
    return np.clip(out, 0, 1)


def _teeth(canvas: Canvas, p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the colours of the teeth: ivory, with gaps where one ends and the next begins."""
    upper = p[:, 1] > np.median(p[:, 1])
    # Widths from the middle out, millimetres (central and lateral incisor, canine, premolars; Wheeler's tables).
    ends = np.cumsum(np.array((8.3, 6.6, 7.4, 6.8, 6.6)) * 0.93)
    low = np.cumsum(np.array((5.2, 5.8, 6.8, 6.9, 7.0)) * 0.96)
    x = np.abs(p[:, 0]) * 1e3 + 0.25 * rng.normal()
    nearest = np.where(upper, np.abs(x[:, None] - ends).min(1), np.abs(x[:, None] - low).min(1))
    nearest = np.minimum(nearest, x)
    ivory = np.array((0.90, 0.86, 0.76)) * (1 - 0.12 * canvas.person.wrinkles * np.array((0.6, 0.8, 1.4)))
    gap = 1 - 0.5 * np.exp(-((nearest / 0.75) ** 2))
    back = 1 - 0.5 * step(x, 14, 26)
    return ivory * (gap * back)[:, None]


def _mouth_light(p: np.ndarray) -> np.ndarray:
    """Returns the light in an opened mouth: less with depth."""
    return 0.10 + 0.62 * step(p[:, 2], -0.012, 0.019)


def _eyeballs(canvas: Canvas, colour: np.ndarray) -> np.ndarray:
    place, rng, person = canvas.surface, canvas.rng("white"), canvas.person
    eyes = place.region("eyes") > 0.5
    p = place.points[eyes]
    white = np.array((0.90, 0.875, 0.855)) * (1 - 0.06 * np.array((0.3, 0.6, 1.3)) * (person.wrinkles + person.melanin))
    # Veins run from the corners; there the conjunctiva is pink.
    x = np.abs(np.abs(p[:, 0]) * 1e3 - 31.0)
    veins = step(np.abs(noise.field(p * np.array((0.35, 1, 0.6)), 0.0016, rng)), 0.25, 0.0) * step(x, 6.5, 12)
    pink = np.clip(0.22 * veins + 0.45 * step(x, 9.5, 15.5), 0, 1)[:, None]
    out = colour.copy()
    out[eyes] = white * (1 - pink) + np.array((0.80, 0.52, 0.48)) * pink
    return out


def _gloss(canvas: Canvas, normal: np.ndarray, lit: np.ndarray) -> np.ndarray:
    """Returns the sheen of skin and the wet shine of lips and teeth as a viewer in front sees them, linear."""
    place = canvas.surface
    p = place.points
    half = unit(np.array([light.KEY + _VIEWER]))[0]
    cosine = np.clip(normal @ half, 0, 1)
    oily = 0.35 + 0.65 * np.clip(spot(p, (0, 50, 30), (32, 22, 40)) + spot(p, (0, -15, 44), (8, 34, 30)), 0, 1)
    oily = oily + 0.3 * spot(p, (38, -18, 18), (14, 9, 20))
    rough = 1 + 0.35 * noise.field(p, 0.0026, canvas.rng("gloss"))
    shade = np.clip(lit.mean(-1) / 0.7, 0, 1) ** 1.5
    sheen = (0.055 * cosine**9 + 0.05 * cosine**36) * oily * rough
    lips, teeth = place.region("lips"), place.region("teeth")
    wet = 0.10 * cosine**24 * (1 + 0.5 * noise.field(p, 0.003, canvas.rng("wet"))) * np.maximum(lips, teeth)
    bare = (1 - place.region("torso")) * (1 - place.region("eyes")) * (place.region("mouth_interior") < 0.5)
    dark = 1 + 0.7 * canvas.person.melanin  # the same sheen shows more on dark skin
    return np.maximum(sheen * dark * bare + wet, 0) * shade
