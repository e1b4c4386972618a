"""Heads to take pictures of: our own, and meshes from files, posed by ARKit names; metres, origin between the eyes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from safetensors import safe_open
from scipy.spatial.transform import Rotation
from torch import Tensor

from avatar3d import heads
from avatar3d.capture.synthetic import files
from avatar3d.core import AvatarError, Pose
from avatar3d.heads import ARKIT

NAMES = ("anny", "lps", "facecap", "ict")
"""Subjects known by name; `lps`, `facecap` and `ict` read their files from the folder of test data."""
_PIVOT = np.array([0.0, -0.09, -0.06])
"""About which a head without a neck joint turns: the top of the neck, metres from the point between the eyes."""
_WHOLE = {"jawLeft", "jawRight", "mouthLeft", "mouthRight"}
_SKIN, _WHITE, _IRIS, _PUPIL, _LIP, _BROW, _INNER = (
    *((0.84, 0.66, 0.57), (0.92, 0.90, 0.88), (0.36, 0.26, 0.18), (0.05, 0.04, 0.04)),
    *((0.70, 0.37, 0.35), (0.30, 0.21, 0.15), (0.55, 0.25, 0.25)),
)
_HIDDEN = ("M_LacrimalFluid", "M_EyeBlend", "M_EyeOcclusion", "M_EyeLashes")
_LANDMARKS = Path(heads.__file__).parent / "data" / "landmarks.safetensors"


@dataclass(frozen=True)
class Points:
    """Landmarks as points of a surface."""

    face: Int[np.ndarray, " l"]
    bary: Float[np.ndarray, "l 3"]


@dataclass(frozen=True)
class Subject:
    """A mesh that can make faces."""

    name: str
    faces: Int[Tensor, "f 3"]
    posed: Callable[[Float[np.ndarray, " e"], Float[np.ndarray, " 3"]], Float[Tensor, "v 3"]]
    """(ARKit weights in alphabetical order, turn of the head as a rotation vector) -> vertices, metres."""
    head: Callable[[Float[np.ndarray, " 3"]], Float[np.ndarray, "4 4"]]
    """Turn of the head -> rest-to-world transform of its skull."""
    colours: Float[Tensor, "v 3"] | None
    """sRGB of each vertex, or:"""
    texture: Float[Tensor, "h w 3"] | None = None
    """sRGB, the first row is the top (v = 1)."""
    uv: Float[Tensor, "f 3 2"] | None = None
    shade: float = 0.35
    """Share of the light that comes from one side; 0 where the texture carries its own light."""
    points: Points | None = None
    """Landmarks, for meshes that know theirs."""
    moves: tuple[str, ...] = ()
    """ARKit names that change the mesh."""


def load(mesh: str, seed: int | None = None) -> Subject:
    """Returns a subject by name or from an OBJ or GLB file.

    Args:
        mesh: One of `NAMES`, or a file; a file's texture is its material's, or the picture of the same name beside it.
        seed: Of a random identity, for `anny` and `ict`; None is the mean person.

    Raises:
        AvatarError: No such name or file, or the file cannot be read.
    """
    if mesh == "anny":
        return _anny(seed)
    if mesh.lower() in ("lps", "leeperrysmith"):
        return _lps(data_folder())
    if mesh == "facecap":
        return _facecap(data_folder())
    if mesh == "ict":
        return _ict(data_folder(), seed)
    path = Path(mesh)
    if not path.is_file():
        raise AvatarError(f"{mesh}: no such mesh; give a file (.obj, .glb) or one of {', '.join(NAMES)}")
    found = files.read(path)
    grey = None if found.texture is not None else torch.full((len(found.points), 3), 0.6)
    points = _upright(found.points)
    return _rigid(path.stem, points, found.faces, grey, found.texture, found.uv, 0.0 if grey is None else 0.35)


def data_folder() -> Path:
    """Returns the folder with the head scans, `heads/` of AVATAR3D_DATA or of ../shared/data beside the source tree.

    Raises:
        AvatarError: There is none.
    """
    given = os.environ.get("AVATAR3D_DATA")
    folder = (Path(given) if given else Path(__file__).resolve().parents[4] / "shared" / "data") / "heads"
    if not folder.is_dir():
        raise AvatarError(f"no head scans at {folder}; set AVATAR3D_DATA to the folder that holds heads/")
    return folder


def _anny(seed: int | None) -> Subject:
    head = heads.load("anny")
    size = len(head.identities)
    identity = torch.zeros(size)
    if seed is not None:
        # Somewhat tamer than the prior, as people are.
        identity = (0.7 * torch.randn(size, generator=torch.Generator().manual_seed(seed))).clamp(-1.5, 1.5)
    neck, skull = head.joints.index("neck"), head.joints.index("head")

    def pose(weights: np.ndarray, turn: np.ndarray) -> Pose:
        joints = torch.zeros(len(head.joints), 3)
        joints[neck], joints[skull] = torch.from_numpy(0.4 * turn).float(), torch.from_numpy(0.6 * turn).float()
        return Pose(torch.from_numpy(weights).float(), joints, torch.eye(4))

    def posed(weights: np.ndarray, turn: np.ndarray) -> Tensor:
        with torch.no_grad():
            return head.vertices(identity, pose(weights, turn))

    def place(turn: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return head.joint_transforms(identity, pose(np.zeros(len(ARKIT)), turn))[skull].double().numpy()

    colours = getattr(head, "colours", torch.full((int(head.faces.max()) + 1, 3), 0.6))
    with safe_open(str(_LANDMARKS), "numpy") as file:
        points = Points(file.get_tensor("face").astype(np.int64), file.get_tensor("bary").astype(np.float64))
    return Subject("anny", head.faces, posed, place, colours, points=points, moves=ARKIT)


def _lps(data: Path) -> Subject:
    mesh = files.arrays(data / "LeePerrySmith_mesh.npz", "verts", "uv", "faces", "faces_uv")
    # 1.23 units between the pupils of a man; the middle between his (closed) eyes.
    points = (mesh["verts"].astype(np.float64) - [-0.115, 1.65, 1.56]) * 0.0512
    uv = mesh["uv"][mesh["faces_uv"]] * [1, -1] + [0, 1]
    return _rigid("lps", points, mesh["faces"], None, picture(data / "LeePerrySmith_color_1024.jpg"), uv, 0.0)


def _rigid(name: str, points: np.ndarray, faces: np.ndarray, colours, texture, uv, shade: float) -> Subject:
    """Returns a mesh without expressions."""

    def posed(weights: np.ndarray, turn: np.ndarray) -> Tensor:
        return _turned(points, turn)

    return Subject(
        *(name, torch.from_numpy(faces.astype(np.int64)), posed, _about, colours),
        texture=None if texture is None else torch.from_numpy(texture).float(),
        uv=None if uv is None else torch.from_numpy(np.ascontiguousarray(uv)).float(),
        shade=shade,
    )


def _facecap(data: Path) -> Subject:
    parts = ("head", "eye_l", "eye_r", "teeth")
    wanted = [f"{p}_{what}" for p in parts for what in ("verts", "faces", "uv")]
    mesh = files.arrays(data / "facecap_decoded.npz", "names", "head_deltas", *wanted)
    names = [str(n) for n in mesh["names"]]
    deltas = mesh["head_deltas"][[names.index(_sided(n)) for n in ARKIT]].astype(np.float64)
    starts = np.cumsum([0] + [len(mesh[p + "_verts"]) for p in parts])
    faces = np.concatenate([mesh[p + "_faces"] + o for p, o in zip(parts, starts, strict=False)])
    uv = np.concatenate([mesh[p + "_uv"] for p in parts])[faces] * [1, -1] + [0, 1]
    rest = mesh["head_verts"].astype(np.float64)
    eyes = {"Right": mesh["eye_l_verts"].astype(np.float64), "Left": mesh["eye_r_verts"].astype(np.float64)}
    middle, scale = (eyes["Left"].mean(0) + eyes["Right"].mean(0)) / 2, 0.24 / np.ptp(rest[:, 1])

    def posed(weights: np.ndarray, turn: np.ndarray) -> Tensor:
        gazed = [_gazed(eyes[s], s, weights) for s in ("Right", "Left")]
        points = np.concatenate([rest + np.tensordot(weights, deltas, 1), *gazed, mesh["teeth_verts"]])
        return _turned((points - middle) * scale, turn)

    moved = np.abs(deltas).max((1, 2)) > 1e-6
    return Subject(
        *("facecap", torch.from_numpy(faces.astype(np.int64)), posed, _about, None),
        texture=torch.from_numpy(picture(data / "facecap_basecolor_1024.png")).float(),
        uv=torch.from_numpy(uv).float(),
        moves=tuple(n for n, m in zip(ARKIT, moved, strict=True) if m or n.startswith("eyeLook")),
    )


def _ict(data: Path, seed: int | None) -> Subject:
    mesh = files.arrays(
        *(data / "ict_facekit_neutral_expr53.npz", "verts", "faces", "face_material", "material_names"),
        *("expr_names", "expr_delta_q", "expr_scale", "landmarks68"),
    )
    rest, stored = mesh["verts"].astype(np.float64), [str(n) for n in mesh["expr_names"]]
    if seed is not None:
        modes = files.arrays(data / "ict_facekit_identity30.npz", "identity_q", "identity_scale")
        amounts = np.clip(np.random.default_rng(seed).normal(0, 0.7, len(modes["identity_scale"])), -1.5, 1.5)
        rest = rest + np.tensordot(amounts * modes["identity_scale"], modes["identity_q"].astype(np.float64), 1)
    offsets = mesh["expr_delta_q"].astype(np.float32) * float(mesh["expr_scale"])
    deltas = np.stack([sum((offsets[stored.index(n)] for n in _ict_names(a, stored)), 0 * rest) for a in ARKIT])
    material = np.array([str(n) for n in mesh["material_names"]])[mesh["face_material"]]
    shown = ~np.isin(material, _HIDDEN)
    of = {m: np.unique(mesh["faces"][material == m]) for m in np.unique(material)}
    balls = {s: np.union1d(of["M_Sclera" + s], of["M_Iris" + s]) for s in ("Left", "Right")}
    middle = (rest[balls["Left"]].mean(0) + rest[balls["Right"]].mean(0)) / 2
    scale = float(0.062 / np.linalg.norm(rest[of["M_IrisLeft"]].mean(0) - rest[of["M_IrisRight"]].mean(0)))
    colours = _ict_colours(rest, of, mesh["landmarks68"], scale)
    faces = mesh["faces"][shown].astype(np.int64)

    def posed(weights: np.ndarray, turn: np.ndarray) -> Tensor:
        moved = rest + np.tensordot(weights, deltas, 1)
        for side, ball in balls.items():
            moved[ball] = _gazed(rest[ball], side, weights)
        return _turned((moved - middle) * scale, turn)

    corner = {int(v): (f, c) for f, row in enumerate(faces) for c, v in enumerate(row)}
    at = [corner[int(v)] for v in mesh["landmarks68"]]
    points = Points(np.array([f for f, _ in at]), np.eye(3)[[c for _, c in at]])
    return Subject(
        *("ict", torch.from_numpy(faces), posed, _about, torch.from_numpy(colours).float()), points=points, moves=ARKIT
    )


def _ict_colours(rest: np.ndarray, of: dict[str, np.ndarray], marks: np.ndarray, scale: float) -> np.ndarray:
    """Returns plain colours with painted lips and brows: the model has no texture."""
    import cv2

    colours = np.tile(np.array(_SKIN), (len(rest), 1))
    for material, colour in {"M_GumsTongue": _INNER, "M_Teeth": _WHITE}.items():
        colours[of[material]] = colour
    for side in ("Left", "Right"):  # the white reaches over the iris as a cornea: paint by direction
        ball = np.union1d(of["M_Sclera" + side], of["M_Iris" + side])
        away = rest[ball] - (rest[ball].max(0) + rest[ball].min(0)) / 2
        angle = np.degrees(np.arccos(np.clip(away[:, 2] / np.linalg.norm(away, axis=1), -1, 1)))[:, None]
        colours[ball] = np.where(angle < 11, _PUPIL, np.where(angle < 28, _IRIS, _WHITE))
    points, thick = rest[marks], np.array([0, 0.006 / scale, 0])
    brows = [np.concatenate([points[i], points[i][::-1] - thick]) for i in (range(17, 22), range(22, 27))]
    for outline, colour in ((points[48:60], _LIP), (brows[0], _BROW), (brows[1], _BROW)):
        polygon = (outline[:, :2] * 2e4 * scale).astype(np.float32).reshape(-1, 1, 2)
        for i in of["M_Face"][rest[of["M_Face"], 2] > outline[:, 2].min() - 0.012 / scale]:
            x, y = rest[i, :2] * 2e4 * scale
            if cv2.pointPolygonTest(polygon, (float(x), float(y)), False) > 0:
                colours[i] = colour
    return colours


def _sided(name: str) -> str:
    """Returns the name of an ARKit expression with its side as a suffix."""
    return name if name in _WHOLE else name.replace("Left", "_L").replace("Right", "_R")


def _ict_names(name: str, stored: list[str]) -> list[str]:
    """Returns ICT's names of an ARKit expression: some are split into both sides."""
    plain = _sided(name)
    return [n for n in (plain, plain + "_L", plain + "_R") if n in stored]


def _gazed(eye: np.ndarray, side: str, weights: np.ndarray) -> np.ndarray:
    """Returns an eyeball turned by the eyeLook weights, 30 degrees sideways and 25 up or down for a full one."""
    at = {n: weights[i] for i, n in enumerate(ARKIT) if n.startswith("eyeLook")}
    outward = 1 if side == "Left" else -1
    yaw = outward * (at["eyeLookOut" + side] - at["eyeLookIn" + side]) * np.radians(30)
    pitch = (at["eyeLookDown" + side] - at["eyeLookUp" + side]) * np.radians(25)
    centre = eye.mean(0)
    return (eye - centre) @ Rotation.from_euler("yx", [yaw, pitch]).as_matrix().T + centre


def _about(turn: np.ndarray) -> np.ndarray:
    out = np.eye(4)
    out[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    out[:3, 3] = _PIVOT - out[:3, :3] @ _PIVOT
    return out


def _turned(points: np.ndarray, turn: np.ndarray) -> Tensor:
    place = _about(turn)
    return torch.from_numpy(points @ place[:3, :3].T + place[:3, 3]).float()


def _upright(points: np.ndarray) -> np.ndarray:
    """Returns a file's points in metres about their middle: a head is 15 to 60 cm tall, whatever the file's unit."""
    middle, tall = (points.max(0) + points.min(0)) / 2, np.ptp(points[:, 1])
    for unit in (1.0, 0.1, 0.01, 0.001):
        if 0.15 <= tall * unit <= 0.6:
            return (points - middle) * unit
    return (points - middle) * (0.3 / max(tall, 1e-9))


def picture(path: Path) -> Float[np.ndarray, "h w 3"]:
    """Returns a texture, sRGB in [0, 1]."""
    try:
        return np.asarray(Image.open(path).convert("RGB")) / 255.0
    except (OSError, Image.DecompressionBombError) as error:
        raise AvatarError(f"{path}: a texture that cannot be read ({error})") from error
