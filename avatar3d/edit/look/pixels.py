"""Lips, brows, irises and bare teeth in a picture of the face: the mesh says about where, the colours say exactly."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt, gaussian_filter, gaussian_filter1d, label
from torch import Tensor

from avatar3d.core import Camera, Gaussians
from avatar3d.edit.look.colour import to_oklab
from avatar3d.edit.look.surface import Surface
from avatar3d.geometry import orbit
from avatar3d.ops import mesh, splat
from avatar3d.ops.reference import SH_C0

SIDE = 384
_METRES = 0.215  # side of the picture at the eyes
_DISTANCE = 0.75
_LIGHT = 0.6  # lightness counts less than hue: shading changes it
_BROW_LOW, _BROW_HIGH, _BROW_IN, _BROW_OUT = 0.010, 0.042, 0.020, 0.032  # metres from the middle of the eye

_BROW_LARGEST = 12e-4  # square metres


@dataclass(frozen=True)
class FacePicture:
    """The face from the front at rest."""

    camera: Camera
    lab: Float[np.ndarray, "h w 3"]
    """OKLab, lightness scaled by 0.6."""
    alpha: Float[np.ndarray, "h w"]

    @property
    def pixel(self) -> float:
        """Metres across one pixel at the face."""
        return _METRES / SIDE


def face_camera(yaw: float = 0.0) -> Camera:
    """Returns the camera that the face is looked at with; `yaw` in radians."""
    fov = 2 * float(np.arctan(_METRES / 2 / _DISTANCE))
    around = orbit(torch.tensor([yaw]), 0.0, _DISTANCE, (0.0, -0.025, 0.01), (SIDE, SIDE), fov)
    return Camera(around.w2c[0], around.K[0], SIDE, SIDE)


def face_picture(under: Surface, rows: Bool[Tensor, " n"] | None = None) -> FacePicture:
    """Returns the face, or some splats of it alone, from the front."""
    splats = under.splats if rows is None else under.splats.gather(torch.nonzero(rows)[:, 0])
    camera = face_camera()
    seen = splat.rasterize(splats, camera)
    rgb = (seen.rgb / seen.alpha.clamp_min(1e-3)).clamp(0, 1)
    lab = to_oklab(rgb) * rgb.new_tensor([_LIGHT, 1.0, 1.0])
    return FacePicture(camera, lab.double().numpy(), seen.alpha[..., 0].double().numpy())


def drawn(under: Surface, camera: Camera, *names: str) -> dict[str, Float[np.ndarray, "h w"]]:
    """Returns regions of the mesh as the camera sees them."""
    seen = mesh.rasterize(under.vertices, under.head.faces, camera)
    zero = torch.zeros(len(under.vertices))
    values = torch.stack([under.head.regions.get(n, zero).float() for n in names], -1)
    picture = mesh.interpolate(values, seen, under.head.faces).double().numpy()
    return {name: picture[..., i] for i, name in enumerate(names)}


def lips_and_teeth(under: Surface, face: FacePicture) -> tuple[np.ndarray, np.ndarray]:
    """Returns where lips are and where teeth show between them, in [0, 1]."""
    region = drawn(under, face.camera, "lips", "mouth_interior", "nose")
    mouth = np.maximum(region["lips"], region["mouth_interior"])
    away = _away(mouth < 0.5) * face.pixel
    zone = (away < 0.005) & (face.alpha > 0.5)
    ring = (away > 0.006) & (away < 0.013) & (region["nose"] < 0.2) & (face.alpha > 0.9)
    if ring.sum() < 50 or zone.sum() < 50:
        return region["lips"], np.zeros_like(mouth)
    prior = np.clip(gaussian_filter(mouth, 0.0014 / face.pixel), 0.02, 0.97)
    skin = face.lab[ring]
    middle = np.median(skin, 0)
    chroma = np.hypot(face.lab[..., 1], face.lab[..., 2])
    paler = (face.lab[..., 0] > middle[0] - 0.06) & (chroma < 0.55 * np.hypot(*middle[1:]))
    dark = face.lab[..., 0] < 0.3 * _LIGHT
    teeth = gaussian_filter((paler & (mouth > 0.5)).astype(float), 1.0)
    lips = _separate(face.lab, prior, zone & ~paler & ~dark, ring)
    lips = np.where(paler | dark, np.minimum(lips, 0.3), lips)
    return np.where(zone, gaussian_filter(lips, 0.8) * (1 - teeth), 0.0), np.where(zone, teeth, 0.0)


def irises(under: Surface, eyes: Bool[Tensor, " n"]) -> tuple[FacePicture, np.ndarray, np.ndarray]:
    """Returns the eyeballs' own picture, without lids before them, and where irises and pupils are in it."""
    face = face_picture(under, eyes)
    seen = mesh.rasterize(under.vertices, _eye_faces(under), face.camera)
    names = ("iris", "pupil")
    values = torch.stack([under.head.regions[n].float() for n in names], -1)
    picture = mesh.interpolate(values, seen, _eye_faces(under)).double().numpy()
    ball, disc, pupil = seen.face.numpy() >= 0, picture[..., 0], picture[..., 1]
    disc = np.maximum(disc, pupil)  # the mesh's iris may or may not hold its pupil
    away = _away(disc < 0.5) * face.pixel
    white = ball & (away > 0.0025) & (away < 0.009) & (face.alpha > 0.7)
    zone = ball & (away < 0.0025) & (face.alpha > 0.5)
    prior = np.clip(gaussian_filter(disc, 0.0009 / face.pixel), 0.02, 0.98)
    iris = _separate(face.lab, prior, zone, white) if white.sum() > 50 and zone.sum() > 50 else disc
    inner = np.clip(gaussian_filter(pupil, 0.0005 / face.pixel), 0, 1)
    # A highlight on the eye is neither: recoloured, it would no longer be one.
    shine = face.lab[..., 0] > 0.75 * _LIGHT
    iris = np.where(zone & ~shine, iris, 0.0)
    return face, gaussian_filter(iris * (1 - inner), 0.7), iris * inner


def brows(under: Surface, face: FacePicture, hair: Float[np.ndarray, "h w"]) -> np.ndarray:
    """Returns where the brows are: the dark band between lid and forehead, brighter above and below it.

    Args:
        under: The avatar at rest.
        face: Its picture.
        hair: Where hair covers the face, in [0, 1].
    """
    found = np.zeros((SIDE, SIDE))
    fringe = _fringe(hair, face.pixel)
    for side in ("left", "right"):
        middle = _eye_centre(under, side)
        if middle is None:
            continue
        u, v = _project(face.camera, middle)
        sign = 1.0 if middle[0] > 0 else -1.0
        found = np.maximum(found, _brow(face, fringe, u, v, sign))
    return found


def _brow(face: FacePicture, fringe: np.ndarray, u: float, v: float, sign: float) -> np.ndarray:
    """Returns one brow: in each column the row that is darkest against its surroundings, joined to a smooth path."""
    px = face.pixel
    inner, outer = u - sign * _BROW_IN / px, u + sign * _BROW_OUT / px
    columns = np.arange(max(0, int(min(inner, outer))), min(SIDE, int(max(inner, outer)) + 1))
    rows = np.arange(max(0, int(v - _BROW_HIGH / px)), min(SIDE, int(v - _BROW_LOW / px) + 1))
    out = np.zeros((SIDE, SIDE))
    if len(columns) < 8 or len(rows) < 8:
        return out
    light = face.lab[..., 0] / _LIGHT
    smooth = gaussian_filter(light, 0.0016 / px)
    around = gaussian_filter(light, (0.0075 / px, 0.004 / px))
    dip = (around - smooth)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    dip = np.where(fringe[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], -0.1, dip)
    # Brows lie about 2 cm above the middle of the eye.
    height = (v - rows) * px
    path = _path(dip - 0.02 * np.abs(height - 0.021)[:, None] / 0.01, 0.004)
    path = gaussian_filter1d(rows[path].astype(float), 2.0)
    line = np.arange(SIDE)[:, None]
    near = np.exp(-0.5 * ((line - path[None]) * px / 0.0038) ** 2)
    local = gaussian_filter(light, 0.0006 / px)[:, columns]
    skin = np.stack([_above_below(light[:, c], p, px) for c, p in zip(columns, path, strict=True)])
    skin = gaussian_filter1d(skin, 0.004 / px)
    core = np.array([local[round(p), i] for i, p in enumerate(path)])
    gap = gaussian_filter1d(skin - core, 0.003 / px)
    depth = np.clip((skin[None] - local) / np.maximum(gap, 0.03)[None], 0, 1.2)
    strength = np.clip((gap - 0.015) / 0.03, 0, 1)
    clear = ~fringe[np.clip(np.round(path).astype(int), 0, SIDE - 1), columns]
    strength = strength * _longest((strength > 0.3) & clear)
    weight = np.clip((depth - 0.2) / 0.45, 0, 1) * np.minimum(1.0, near * 1.6) * strength[None]
    ends = np.clip(np.minimum(np.arange(len(columns)) + 1, np.arange(len(columns), 0, -1)) * px / 0.003, 0, 1)
    out[:, columns] = weight * ends * (near > 0.05)
    return gaussian_filter(out, 0.0005 / px) * ~fringe


def _fringe(hair: np.ndarray, px: float) -> Bool[np.ndarray, "h w"]:
    """Returns where hair hangs: patches too large to be brows, which look like hair too, with a rim of 4 mm."""
    patches = np.zeros(hair.shape, np.int32)
    count = int(label(hair > 0.4, output=patches))  # type: ignore[arg-type]
    sizes = np.bincount(patches.ravel(), minlength=count + 1) * px**2
    large = np.isin(patches, [i for i in range(1, count + 1) if sizes[i] > _BROW_LARGEST])
    return _away(~large) * px < 0.004 if large.any() else large


def _longest(there: np.ndarray) -> np.ndarray:
    """Returns the longest run of true values alone."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], there.astype(np.int8), [0]])))
    starts, ends = edges[::2], edges[1::2]
    out = np.zeros(len(there), bool)
    if len(starts):
        nth = int((ends - starts).argmax())
        out[starts[nth] : ends[nth]] = True
    return out


def _above_below(column: np.ndarray, row: float, px: float) -> float:
    """Returns the lightness of the skin above and below a brow."""
    step = max(1, round(0.002 / px))
    spots = [
        column[np.clip(round(row + d / px) + np.arange(-step, step + 1), 0, SIDE - 1)].mean() for d in (-8e-3, 7e-3)
    ]
    return float(np.mean(spots))


def _path(gain: np.ndarray, cost: float) -> np.ndarray:
    """Returns the row in each column that maximises the gain along a path of small steps (Viterbi)."""
    rows, columns = gain.shape
    best, back = gain[:, 0].copy(), np.zeros((columns, rows), np.int64)
    reach = 3
    for c in range(1, columns):
        tries = np.stack([np.full(rows, -np.inf)] * (2 * reach + 1))
        for i, d in enumerate(range(-reach, reach + 1)):
            shifted = np.roll(best, d) - cost * abs(d)
            if d > 0:
                shifted[:d] = -np.inf
            elif d < 0:
                shifted[d:] = -np.inf
            tries[i] = shifted
        choice = tries.argmax(0)
        back[c] = np.arange(rows) - (choice - reach)
        best = tries.max(0) + gain[:, c]
    path = np.zeros(columns, np.int64)
    path[-1] = best.argmax()
    for c in range(columns - 1, 0, -1):
        path[c - 1] = back[c, path[c]]
    return path


def _away(empty: np.ndarray) -> np.ndarray:
    """Returns how many pixels each one is away from the nearest that is not `empty`."""
    return np.asarray(distance_transform_edt(empty))


def _separate(lab: np.ndarray, prior: np.ndarray, zone: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Returns the probability of a region, by two normal distributions that are fitted to zone and ring in turns.

    Where the colours do not tell the region from its surroundings, the prior decides.

    Args:
        lab: Colours.
        prior: Probability by place.
        zone: Pixels in question.
        ring: Pixels that are surely outside.
    """
    x, outside = lab[zone], lab[ring]
    p = prior[zone]
    start = np.log(p / (1 - p))
    for _ in range(6):
        inside = p**2
        if inside.sum() < 20:
            return prior
        m1, m0 = _mean(x, inside), _mean(np.concatenate([x, outside]), np.concatenate([1 - p, np.ones(len(outside))]))
        spread = (_spread(x, inside, m1) + _spread(outside, np.ones(len(outside)), m0)) / 2 + np.eye(3) * 2e-4
        way = np.linalg.solve(spread, m1 - m0)
        distance = float((m1 - m0) @ way)
        trust = np.clip((np.sqrt(max(distance, 0.0)) - 0.7) / 1.3, 0, 1)
        score = np.clip((x - (m1 + m0) / 2) @ way, -6, 6)
        p = 1 / (1 + np.exp(-(start + trust * score)))
    result = np.zeros(prior.shape)
    result[zone] = p
    return result


def _mean(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (x * weight[:, None]).sum(0) / weight.sum()


def _spread(x: np.ndarray, weight: np.ndarray, mean: np.ndarray) -> np.ndarray:
    away = x - mean
    return (away * weight[:, None]).T @ away / weight.sum()


def _eye_faces(under: Surface) -> Tensor:
    faces = under.head.faces
    return faces[under.head.regions["eyes"][faces].mean(-1) > 0.5]


def _eye_centre(under: Surface, side: str) -> Tensor | None:
    weight = under.head.regions.get(f"iris_{side}")
    if weight is None or float(weight.sum()) == 0:
        return None
    return (under.vertices * weight[:, None]).sum(0) / weight.sum()


def _project(camera: Camera, point: Tensor) -> tuple[float, float]:
    seen = camera.K @ (camera.w2c[:3, :3] @ point + camera.w2c[:3, 3])
    return float(seen[0] / seen[2]), float(seen[1] / seen[2])


def gathered(splats: Gaussians, camera: Camera, masks: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Returns how much each splat shows in a picture (pixels), and the mean over it of up to three masks (n 3)."""
    stacked = np.zeros((camera.height, camera.width, 3))
    for i, mask in enumerate(masks):
        stacked[..., i] = mask
    return splat.gather_colour(splats, camera, torch.from_numpy(stacked).float())


def shown(splats: Gaussians, camera: Camera, weights: Float[Tensor, " n"]) -> Float[np.ndarray, "h w"]:
    """Returns the picture of a quantity of splats, where they are seen."""
    seen = splat.rasterize(
        replace(splats, sh=((weights - 0.5) / SH_C0)[:, None, None].expand(-1, 1, 3).contiguous()), camera
    )
    return (seen.rgb[..., 0] / seen.alpha[..., 0].clamp_min(1e-3)).clamp(0, 1).double().numpy()
