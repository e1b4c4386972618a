"""Places on the head's surface: a blue-noise set of them, denser where one looks, and the nearest to any point."""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from avatar3d import heads
from avatar3d.heads import AnnyHead
from avatar3d.rig.frames import face_frames
from avatar3d.sample.layers import Frames

# Metres between neighbouring splats by region; of several the densest counts.
_SPACING = {
    "torso": 9e-3,
    "neck": 4.5e-3,
    "scalp": 5e-3,
    "cavity": 5.5e-3,
    "face": 2.0e-3,
    "ears": 2.2e-3,
    "tongue": 2.6e-3,
    "gums": 2.6e-3,
    "nose": 1.5e-3,
    "eyes": 1.3e-3,
    "teeth": 1.5e-3,
    "lips": 1.0e-3,
    "lids": 0.9e-3,
}
_ELSEWHERE, _SOCKETS = 5e-3, 3e-3
_DENSER = 4.0  # candidates for each place that remains


@dataclass(frozen=True, eq=False)
class Surface:
    """The mean head as a set of places. Positions on it are the coordinates in which features are described."""

    head: AnnyHead
    face: Int[np.ndarray, " n"]
    bary: Float[np.ndarray, "n 3"]
    width: Float[np.ndarray, " n"]
    """Distance to the neighbouring places in units of the triangle's size."""
    spread: Float[np.ndarray, " n"]
    """Size of the triangle on the face on which they were spread, metres."""

    @functools.cached_property
    def points(self) -> Float[np.ndarray, "n 3"]:
        """Where the places are on the mean head at rest, metres."""
        return on_mesh(self.head.template.double().numpy(), self.head, self.face, self.bary)

    @functools.cached_property
    def normals(self) -> Float[np.ndarray, "v 3"]:
        """Of the mean head's vertices."""
        return vertex_normals(self.head.template.double().numpy(), self.head.faces.numpy())

    @functools.cached_property
    def frames(self) -> Frames:
        """Of the mean head at rest."""
        return frames_of(self.head.template, self.head)

    def region(self, name: str) -> Float[np.ndarray, " n"]:
        """Returns the weight of a region at each place."""
        return self.at(name, self.face, self.bary)

    def at(self, name: str, face: np.ndarray, bary: np.ndarray) -> Float[np.ndarray, " m"]:
        """Returns the weight of a region at points of triangles."""
        return (self.head.regions[name].double().numpy()[self.head.faces.numpy()[face]] * bary).sum(-1)

    @functools.cached_property
    def _skin(self) -> tuple[KDTree, np.ndarray, np.ndarray]:
        return self._tree(False)

    @functools.cached_property
    def _eyes(self) -> tuple[KDTree, np.ndarray, np.ndarray]:
        return self._tree(True)

    def _tree(self, on_eyes: bool) -> tuple[KDTree, np.ndarray, np.ndarray]:
        """Returns a tree of many points on skin or eyeballs, and what they are."""
        head, faces = self.head, self.head.faces.numpy()
        vertices = head.template.double().numpy()
        inner = np.maximum(head.regions["mouth_interior"].numpy(), head.regions["sockets"].numpy())[faces].max(-1) > 0.5
        eyes = head.regions["eyes"].numpy()[faces].mean(-1) > 0.5
        above = vertices[faces].mean(1)[:, 1] > -0.14
        chosen = np.flatnonzero(eyes if on_eyes else ~eyes & ~inner & above)
        face, bary = _scattered(vertices, faces, chosen, np.clip(_spacing(head), 0.8e-3, 1.6e-3), 3)
        return KDTree(on_mesh(vertices, head, face, bary)), face, bary

    @functools.cached_property
    def _front(self) -> tuple[KDTree, np.ndarray]:
        """Returns a tree over x, y of the places that face the viewer, and their z."""
        face = self.region("face") > 0.5
        front = face & (self.frames.rotation[self.face, 2, 1] > 0.15) & (self.region("mouth_interior") < 0.5)
        front &= self.region("eyes") < 0.5
        return KDTree(self.points[front, :2]), self.points[front, 2]

    def on_face(self, xy: Float[np.ndarray, "m 2"]) -> Float[np.ndarray, "m 3"]:
        """Returns points of the mean face above (x, y), metres."""
        tree, z = self._front
        distance, near = (np.asarray(a) for a in tree.query(xy, k=4, workers=1))
        weight = 1 / np.maximum(distance, 1e-5) ** 2
        return np.concatenate([xy, ((z[near] * weight).sum(1) / weight.sum(1))[:, None]], 1)

    def nearest(self, points: Float[np.ndarray, "m 3"], part: str = "skin") -> tuple[np.ndarray, np.ndarray]:
        """Returns the triangle and the point on it nearest to points of the mean head, metres.

        Args:
            points: On or near the mean head at rest.
            part: "skin" or "eyes".
        """
        tree, face, bary = self._eyes if part == "eyes" else self._skin
        found = np.asarray(tree.query(points, workers=1)[1])
        return face[found], bary[found]


def on_mesh(vertices: np.ndarray, head: AnnyHead, face: np.ndarray, bary: np.ndarray) -> np.ndarray:
    """Returns values given at vertices (v, c) at points of triangles."""
    return (vertices[head.faces.numpy()[face]] * bary[..., None]).sum(1)


def frames_of(vertices: Tensor, head: AnnyHead) -> Frames:
    """Returns the frames of a mesh's triangles."""
    found = face_frames(vertices.double(), head.faces)
    return Frames(found.rotation.numpy(), found.scale.numpy())


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Returns unit normals of vertices, weighted by area."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(total, faces[:, i], cross)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


@functools.cache
def surface() -> Surface:
    """Returns the surface of the default head; made once a process, always the same."""
    head = heads.load("anny")
    assert isinstance(head, AnnyHead)
    faces = head.faces.numpy()
    spacing = _spacing(head)
    # Spread as on a face with half-closed lids and an open mouth: lids folded away at rest must close too.
    pose = head.neutral()
    for name, value in {"eyeBlinkLeft": 0.6, "eyeBlinkRight": 0.6, "jawOpen": 0.35}.items():
        pose.expression[head.expressions.index(name)] = value
    stretched = head.shaped(torch.zeros(len(head.identities)), pose.expression).double()
    face, bary = _scattered(stretched.numpy(), faces, np.arange(len(faces)), spacing, 1)
    spread = frames_of(stretched, head).scale[face]
    return Surface(head, face, bary, spacing[face] / spread, spread)


def _spacing(head: AnnyHead) -> np.ndarray:
    faces = head.faces.numpy()
    spacing = np.full(len(faces), _ELSEWHERE)
    for name, wanted in _SPACING.items():
        some = head.regions[name].numpy()[faces].max(-1) > 0.4
        spacing[some] = wanted if name in ("torso", "neck", "scalp") else np.minimum(spacing[some], wanted)
    spacing[head.regions["sockets"].numpy()[faces].mean(-1) > 0.5] = _SOCKETS
    place = head.template.numpy()[faces].mean(1)
    eyes = head.regions["eyes"].numpy()[faces].mean(-1) > 0.5
    spacing[eyes & (place[:, 2] < 0.003)] = _SOCKETS  # behind the lids in every gaze
    collar = (place[:, 1] < -0.11) & (place[:, 1] > -0.255) & (np.abs(place[:, 0]) < 0.105)
    spacing[collar] = np.minimum(spacing[collar], 4e-3)
    low = (head.regions["torso"].numpy()[faces].mean(-1) > 0.5) & (place[:, 1] < -0.32)
    spacing[low] = 13e-3
    return spacing


def _scattered(vertices, faces, chosen, spacing, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns triangles and points on them, no two nearer than about their spacing.

    Random candidates by area, of which those remain that nobody of higher rank is near (Luby's parallel scheme for
    maximal independent sets: the result depends on the ranks alone).
    """
    rng = np.random.default_rng(seed)
    corners = vertices[faces[chosen]]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1) / 2
    mean = _DENSER * area / (0.7 * spacing[chosen] ** 2)
    count = np.floor(mean).astype(np.int64)
    count += rng.random(len(count)) < mean - count
    nth = np.repeat(np.arange(len(chosen)), count)
    a, b = rng.random((2, len(nth)))
    a = np.sqrt(a)
    bary = np.stack([1 - a, a * (1 - b), a * b], -1)
    face = chosen[nth]
    points = (vertices[faces[face]] * bary[..., None]).sum(1)
    kept = np.zeros(len(points), bool)
    # Spacings step by region; each class is thinned by itself, and a class gives way to finer ones beside it.
    for value in np.unique(spacing[chosen]):
        mine = np.flatnonzero(spacing[face] == value)
        done = np.flatnonzero(kept)
        if len(done):
            near = np.asarray(KDTree(points[done]).query(points[mine], workers=1)[0])
            mine = mine[near > 0.75 * value]
        kept[mine[_independent(points[mine], 0.84 * value, rng)]] = True
    return face[kept], bary[kept]


def _independent(points: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Returns which points form a maximal set without two nearer than `radius`."""
    if not len(points):
        return np.zeros(0, bool)
    pairs = KDTree(points).query_pairs(radius, output_type="ndarray")
    rank = rng.permutation(len(points))
    taken, open_ = np.zeros(len(points), bool), np.ones(len(points), bool)
    while open_.any():
        best = np.where(open_, rank, -1)
        around = np.full(len(points), -1)
        np.maximum.at(around, pairs[:, 0], best[pairs[:, 1]])
        np.maximum.at(around, pairs[:, 1], best[pairs[:, 0]])
        new = open_ & (rank > around)
        taken |= new
        beside = new[pairs[:, 0]] | new[pairs[:, 1]]
        open_ &= ~new
        open_[pairs[beside].ravel()] = False
        pairs = pairs[open_[pairs[:, 0]] & open_[pairs[:, 1]]]
    return taken
