"""Portraits of our own head for the landmark network: painted vertices, light, camera, and what each pixel hit."""

from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sparse
import torch
from scipy.spatial.transform import Rotation

from avatar3d.capture.landmarks import Face, Landmarker, following
from avatar3d.core import Camera, HeadModel, Pose
from avatar3d.geometry import pinhole
from avatar3d.ops import mesh
from avatar3d.render.shade import Light, normals

SIZE = 512
FACE_PIXELS = 300
"""Pixels per 0.24 m of head at the face: it fills the picture as in a talking-head clip."""
SKIN, WHITE, IRIS, PUPIL = (0.84, 0.66, 0.57), (0.92, 0.90, 0.88), (0.36, 0.26, 0.18), (0.05, 0.04, 0.04)
LIP, BROW, HAIR, INNER = (0.70, 0.37, 0.35), (0.30, 0.21, 0.15), (0.25, 0.18, 0.13), (0.55, 0.25, 0.25)
BACKGROUND = (0.36, 0.40, 0.43)


@dataclass(frozen=True)
class Shot:
    """How one portrait is taken."""

    yaw: float = 0.0
    """Radians, positive turns the face to the viewer's right."""
    pitch: float = 0.0
    """Radians, positive looks down."""
    roll: float = 0.0
    focal: float = 1100.0
    light: Light = field(default_factory=Light)
    tone: float = 1.0

    @property
    def rotation(self) -> np.ndarray:
        """Head to world, 3 3."""
        return Rotation.from_euler("yxz", [self.yaw, self.pitch, self.roll]).as_matrix()


@dataclass(frozen=True)
class Portrait:
    """A picture, what the network saw in it, and which surface point lies under each pixel."""

    image: np.ndarray
    """h w 3 uint8"""
    landmarks: np.ndarray
    """478 3 pixels; NaN if no face was found."""
    blendshapes: np.ndarray
    vertices: np.ndarray
    """v 3, world."""
    face: np.ndarray
    """h w triangle under each pixel, -1 for none."""
    bary: np.ndarray


class Studio:
    """One head, painted, and one detector."""

    def __init__(self, head: HeadModel):
        self.head = head
        self.faces = head.faces.cpu().numpy()
        self.rest = self.vertices(np.zeros(len(head.identities)), np.zeros(len(head.expressions)))
        self.part = components(self.faces, len(self.rest))
        self.skin = self.part == np.bincount(self.part).argmax()
        self.eyes = [self._eye(name) for name in ("eye_left", "eye_right")]
        self.colours = self._painted()
        self._detector = Landmarker()

    def vertices(self, identity: np.ndarray, expression: np.ndarray, rotation: np.ndarray | None = None) -> np.ndarray:
        """Returns vertices in head space (turned when `rotation` is given), metres."""
        root = torch.eye(4)
        if rotation is not None:
            root[:3, :3] = torch.from_numpy(rotation).float()
        pose = Pose(torch.from_numpy(expression).float(), torch.zeros(len(self.head.joints), 3), root)
        with torch.no_grad():
            return self.head.vertices(torch.from_numpy(identity).float(), pose).double().numpy()

    def camera(self, shot: Shot) -> Camera:
        """Returns the tracker's camera: at the origin, y up to y down."""
        return Camera(torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])), pinhole(SIZE, SIZE, shot.focal), SIZE, SIZE)

    def place(self, shot: Shot) -> np.ndarray:
        """Returns the head's translation that centres the face."""
        distance = shot.focal * 0.24 / FACE_PIXELS
        return shot.rotation @ np.array([0.0, 0.03, -0.06]) + np.array([0, 0, -distance])

    def take(self, shot: Shot, identity: np.ndarray, expression: np.ndarray, detect: bool = True) -> Portrait:
        """Returns a portrait."""
        world = self.vertices(identity, expression, shot.rotation) + self.place(shot)
        under = mesh.rasterize(torch.from_numpy(world).float(), self.head.faces, self.camera(shot))
        face, bary = under.face.numpy(), under.bary.double().numpy()
        image = self._shaded(world, face, bary, shot)
        found = self.look(image) if detect else None
        landmarks = found.landmarks.astype(np.float64) if found else np.full((478, 3), np.nan)
        coefficients = found.blendshapes.astype(np.float64) if found else np.full(52, np.nan)
        return Portrait(image, landmarks, coefficients, world, face, bary)

    def _shaded(self, world: np.ndarray, face: np.ndarray, bary: np.ndarray, shot: Shot) -> np.ndarray:
        """Returns the picture (h w 3 uint8): what render.shade does, but only where there is something to see."""
        light, hit = shot.light, face >= 0
        corners, weights = self.faces[face[hit]], bary[hit][..., None].astype(np.float32)
        normal = normals(torch.from_numpy(world).float(), self.head.faces).numpy()
        facing = (normal[corners] * weights).sum(1)
        facing /= np.linalg.norm(facing, axis=1, keepdims=True) + 1e-9
        facing *= np.where(facing[:, 2:] < 0, -1, 1)
        towards = np.array(light.direction) / np.linalg.norm(light.direction)
        halfway = towards + np.array([0, 0, 1])
        gloss = light.gloss * np.clip(facing @ (halfway / np.linalg.norm(halfway)), 0, None) ** 24
        lambert = (0.5 + 0.5 * facing @ towards) ** 2
        strength = light.ambient * (0.85 + 0.15 * facing[:, 1]) + (1 - light.ambient) * 1.15 * lambert
        colour = (self.colours[corners].astype(np.float32) * weights).sum(1) * shot.tone
        image = np.full((*face.shape, 3), BACKGROUND)
        image[hit] = colour * strength[:, None] + gloss[:, None]
        return (image.clip(0, 1) * 255).round().astype(np.uint8)

    def paint(self, outline: np.ndarray, colour: tuple[float, float, float], soft: float = 0.001) -> None:
        """Colours the skin inside a closed outline (m 3, head space at rest), as seen from the front."""
        import cv2

        polygon = (outline[:, :2] * 2e4).astype(np.float32).reshape(-1, 1, 2)
        for i in np.flatnonzero(self.skin & (self.rest[:, 2] > outline[:, 2].min() - 0.012)):
            x, y = self.rest[i, :2] * 2e4
            inside = cv2.pointPolygonTest(polygon, (float(x), float(y)), True) / 2e4
            mix = np.clip(inside / soft + 0.5, 0, 1)
            self.colours[i] = mix * np.array(colour) + (1 - mix) * self.colours[i]

    def look(self, image: np.ndarray) -> Face | None:
        """Returns the face as capture measures it in a video: in the box of the landmarks themselves."""
        boxes = self._detector.detect(image)
        first = self._detector.measure(image, boxes[0]) if boxes else None
        return self._detector.measure(image, following(first)) if first is not None else None

    def _eye(self, joint: str) -> np.ndarray:
        """Returns a mask of the vertices that an eye joint turns."""
        turn = torch.zeros(len(self.head.joints), 3)
        turn[self.head.joints.index(joint), 1] = 0.5
        pose = Pose(torch.zeros(len(self.head.expressions)), turn, torch.eye(4))
        with torch.no_grad():
            moved = self.head.vertices(torch.zeros(len(self.head.identities)), pose).double().numpy()
        return np.linalg.norm(moved - self.rest, axis=1) > 1e-5

    def _painted(self) -> np.ndarray:
        colours = np.tile(np.array(SKIN), (len(self.rest), 1))
        colours[~self.skin] = INNER
        top = self.rest[:, 1] - 0.055 + 0.5 * np.clip(0.02 - self.rest[:, 2], 0, 0.05)  # hairline: high in front
        neck = (self.rest[:, 1] > -0.08) & (self.rest[:, 2] < -0.09)
        colours[self.skin & (((top > 0) & (self.rest[:, 1] > 0.03)) | neck)] = HAIR
        for name, mask in self.head.regions.items():
            if "teeth" in name:
                colours[mask.numpy() > 0.5] = WHITE
        for eye in self.eyes:
            ball = self.rest[eye]
            low, high = ball.min(0), ball.max(0)
            centre = np.array([*(low + high)[:2] / 2, high[2] - (high[0] - low[0]) / 2])
            ray = ball - centre
            angle = np.arccos(np.clip(ray[:, 2] / np.linalg.norm(ray, axis=1), -1, 1))
            ring = np.where((angle < np.radians(22))[:, None], IRIS, WHITE)
            colours[eye] = np.where((angle < np.radians(8.3))[:, None], PUPIL, ring)
        return colours


def components(faces: np.ndarray, count: int) -> np.ndarray:
    """Returns a label for each vertex: connected parts of the mesh."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = sparse.coo_matrix((np.ones(len(edges)), edges.T), (count, count))
    return sparse.csgraph.connected_components(graph, False)[1]


def varied(shot: Shot, rng: np.random.Generator) -> Shot:
    """Returns the shot with another light, tone and focal length."""
    light = Light(
        (float(rng.uniform(-0.6, 0.6)), float(rng.uniform(0.1, 0.7)), 0.8), ambient=float(rng.uniform(0.35, 0.6))
    )
    focal = float(rng.choice([700.0, 1000.0, 1600.0]))
    return replace(shot, light=light, tone=float(rng.uniform(0.8, 1.1)), focal=focal)
