"""The nouns of the engine: frozen values that every verb takes and gives.

Conventions (README): OpenCV camera (x right, y down, z forward), `w2c`, pixel centres at +0.5, quaternions wxyz,
metres, radians, seconds, sRGB in [0, 1], row-major 4x4 matrices acting on columns.
Axis letters: `n` splats, `v` vertices, `f` faces, `e` expressions, `j` joints, `o` soft nodes, `s` identity, `t`
frames, `k` SH bases or splat blendshapes, `h w` pixels, `*b` any batch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from avatar3d.errors import AvatarError as AvatarError
from avatar3d.errors import first_of as first_of
from avatar3d.tensors import Tensors


@dataclass(frozen=True)
class Camera(Tensors):
    """A pinhole camera, or a batch of them that share one image size."""

    w2c: Float[Tensor, "*b 4 4"]
    """World to camera, metres, OpenCV axes."""
    K: Float[Tensor, "*b 3 3"]
    """Intrinsics in pixels."""
    width: int
    height: int

    @property
    def position(self) -> Float[Tensor, "*b 3"]:
        """Centre of the camera in the world, metres."""
        rotation, translation = self.w2c[..., :3, :3], self.w2c[..., :3, 3]
        return -(rotation.mT @ translation[..., None])[..., 0]

    def at(self, index) -> "Camera":
        """Returns the camera (or cameras) of a batch at `index`; one camera for all frames is returned as it is."""
        w2c = self.w2c[index] if self.w2c.dim() > 2 else self.w2c
        return Camera(w2c, self.K[index] if self.K.dim() > 2 else self.K, self.width, self.height)

    def scaled(self, factor: float | int) -> "Camera":
        """Returns the camera of an image resized by `factor`: sizes are rounded, intrinsics follow them."""
        width, height = max(1, round(self.width * factor)), max(1, round(self.height * factor))
        scale = self.K.new_tensor([width / self.width, height / self.height, 1.0])
        return Camera(self.w2c, self.K * scale[:, None], width, height)


@dataclass(frozen=True)
class Gaussians(Tensors):
    """Splats with their parameters as optimised; `.scales` and `.opacities` activate them.

    A leading batch holds the same splats in several poses.
    """

    means: Float[Tensor, "*b n 3"]
    quats: Float[Tensor, "*b n 4"]
    """wxyz, of any non-zero length."""
    log_scales: Float[Tensor, "*b n 3"]
    logits: Float[Tensor, "*b n"]
    sh: Float[Tensor, "*b n k 3"]
    """Spherical-harmonic coefficients, k = (degree + 1)^2 with degree 0 to 3; colour = 0.5 + sum_k Y_k sh_k."""

    def __len__(self) -> int:
        return self.means.shape[-2]

    @property
    def scales(self) -> Float[Tensor, "*b n 3"]:
        return self.log_scales.exp()

    @property
    def opacities(self) -> Float[Tensor, "*b n"]:
        return self.logits.sigmoid()

    def gather(self, index: Int[Tensor, " m"]) -> "Gaussians":
        """Returns the splats at `index` (a change of topology)."""
        return Gaussians(
            self.means[..., index, :],
            self.quats[..., index, :],
            self.log_scales[..., index, :],
            self.logits[..., index],
            self.sh[..., index, :, :],
        )


@dataclass(frozen=True)
class Binding(Tensors):
    """Where each splat rides on the mesh."""

    face: Int[Tensor, " n"]
    bary: Float[Tensor, "n 3"]
    """Barycentric coordinates in that face, summing to one."""

    def gather(self, index: Int[Tensor, " m"]) -> "Binding":
        return Binding(self.face[index], self.bary[index])


@dataclass(frozen=True)
class Basis(Tensors):
    """Reduced splat blendshapes: a small network maps the pose to k weights of offsets in each splat's local frame."""

    means: Float[Tensor, "k n 3"]
    quats: Float[Tensor, "k n 4"]
    sh: Float[Tensor, "k n 3"]
    """Offsets of the degree-0 coefficient."""
    weights: tuple[Tensor, ...]
    """The network's layers (W0, b0, W1, b1, ...), W: out in; ReLU between layers, none after the last."""

    def gather(self, index: Int[Tensor, " m"]) -> "Basis":
        return Basis(self.means[:, index], self.quats[:, index], self.sh[:, index], self.weights)


@dataclass(frozen=True)
class Pose(Tensors):
    """What a face does, without whose face it is; portable between people."""

    expression: Float[Tensor, "*b e"]
    """Weights in the order of the head's `expressions` (ARKit-52), in [0, 1]."""
    joints: Float[Tensor, "*b j 3"]
    """Rotation vectors in the order of the head's `joints`, radians, relative to the parent."""
    root: Float[Tensor, "*b 4 4"]
    """Head space at rest to world; carries the torso."""
    soft: Float[Tensor, "*b o 3"] | None = None
    """Shifts of the head's soft nodes before joints turn them, metres: what clothes, a hand before them and hair did in
    a clip. Of one person and one clip; None for none."""
    heard: Float[Tensor, "*b a"] | None = None
    """What sounds at that moment, for fields that listen to it instead of expressions; None where there is none."""

    def __getitem__(self, index) -> "Pose":
        return self.map(lambda x: x[index])


@dataclass(frozen=True)
class Motion(Tensors):
    """Poses over time: what tracking and driving give, and the unit of exchange."""

    pose: Pose
    """Batched over t frames."""
    fps: float
    names: tuple[str, ...]
    """Names of the expression columns."""

    def __len__(self) -> int:
        return self.pose.expression.shape[0]


@runtime_checkable
class HeadModel(Protocol):
    """A stateless parametric head: (identity, pose) to vertices."""

    @property
    def name(self) -> str: ...
    @property
    def faces(self) -> Int[Tensor, "f 3"]: ...
    @property
    def uv(self) -> Float[Tensor, "f 3 2"]:
        """Texture coordinates of each face corner in [0, 1], v up; parts never overlap."""
        ...

    @property
    def regions(self) -> Mapping[str, Float[Tensor, " v"]]:
        """Soft vertex weights in [0, 1] by name."""
        ...

    @property
    def expressions(self) -> tuple[str, ...]: ...
    @property
    def joints(self) -> tuple[str, ...]: ...
    @property
    def identities(self) -> tuple[str, ...]: ...
    @property
    def soft(self) -> Float[Tensor, "v o"]:
        """How far each vertex follows each soft node, in [0, 1]."""
        ...

    def reshaped(self, offsets: Float[Tensor, "v 3"]) -> "HeadModel":
        """Returns the head of another shape: `offsets` (head space, metres) added to its vertices at rest."""
        ...

    def vertices(self, identity: Float[Tensor, "*b s"], pose: Pose) -> Float[Tensor, "*b v 3"]:
        """Returns world-space vertices, metres."""
        ...

    def joint_transforms(self, identity: Float[Tensor, "*b s"], pose: Pose) -> Float[Tensor, "*b j 4 4"]:
        """Returns each joint's rest-to-world transform."""
        ...

    def to(self, *args: Any, **kwargs: Any) -> "HeadModel": ...


@dataclass(frozen=True)
class Bearing(Tensors):
    """How an avatar carries its face: what edits of expression and pose do to every pose before it is shown.

    expression = clamp(gain * expression + offset, 0, 1); joints = swing * joints + turn.
    """

    gain: Float[Tensor, " e"]
    offset: Float[Tensor, " e"]
    swing: Float[Tensor, " j"]
    """How much of each joint's own rotation vector stays: 1 all of it, 0 holds the joint still."""
    turn: Float[Tensor, "j 3"]
    """Added to the rotation vectors of the joints, radians."""


@dataclass(frozen=True)
class Field(Tensors):
    """A radiance field around a head: colour and density of every point of canonical space, in each pose.

    Canonical space is head space at rest with the mouth a little open; `avatar3d.fields` brings points of a posed head
    to it through the mesh.
    """

    canonical: Float[Tensor, "v 3"]
    """The mesh it lives around, metres."""
    parts: Float[Tensor, "v p"]
    """How far each vertex belongs to each part of the face that listens to the pose by itself."""
    box: Float[Tensor, "2 3"]
    """Lowest and highest corner of what the features cover, metres."""
    occupied: Bool[Tensor, "z y x"]
    """Cells of the box that hold something."""
    table: Float[Tensor, "rows features"]
    """Of the hash grid, or the pixels of the three planes one after another."""
    network: tuple[Tensor, ...]
    """Layers (W0, b0, W1, b1, ...): features, parts and what else the settings ask for, to density and colour."""
    condition: tuple[Tensor, ...]
    """What the pose adds to the network, by part: W p h i, b p h, V p c h."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able: how it is made; see `avatar3d.fields.FieldSettings`."""
    paint: Float[Tensor, "v 6"] | None = None
    """What edits do to colours near each vertex: c -> gain c + offset."""


@dataclass(frozen=True)
class Avatar:
    """A personal head: one value, one file.

    Its tensors always hold the result of its edits, so that whoever shows it needs to know nothing of them.
    """

    head: str
    """Name of the head model it rides on."""
    identity: Float[Tensor, " s"]
    gaussians: Gaussians
    """In the local frame of the bound triangle."""
    binding: Binding
    basis: Basis | None = None
    edits: tuple[Mapping[str, Any], ...] = ()
    """What was done to it, in order, as JSON-able objects (`avatar3d.edit`)."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able: source, consent, licence, versions, timings, and `camera` (K, width, height) of the source."""
    motion: Motion | None = None
    """The tracked performance it was fitted to: gives the demo and the player something true to replay."""
    field: Field | None = None
    """Another body: shown with the splats (of which there may be none), by depth."""
    shape: Float[Tensor, "v 3"] | None = None
    """What edits of shape add to the head's vertices at rest, metres; `heads.of` gives the head with them."""
    bearing: Bearing | None = None
    original: "Avatar | None" = None
    """The avatar before its first edit, if it has any: what undo goes back to."""


@runtime_checkable
class Frames(Protocol):
    """A lazy sequence of images: indexing decodes one, iterating streams them in order."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> UInt8[np.ndarray, "h w *c"]: ...
    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w *c"]]: ...


@dataclass(frozen=True)
class Clip:
    """A captured photo or video with what was measured on it; images stay on disk until asked for."""

    source: Path
    width: int
    height: int
    fps: float
    frames: Frames
    """RGB uint8, upright."""
    masks: Frames | None = None
    """Matte of the person, uint8, 255 = person."""
    landmarks: Float[np.ndarray, "t l 3"] | None = None
    """Pixels (x right, y down; z in pixels, negative towards the camera); NaN where no face was found."""
    blendshapes: Float[np.ndarray, "t e"] | None = None
    """The landmark network's ARKit-52 estimates in alphabetical `ARKIT` order; NaN where no face was found."""
    audio: Float[np.ndarray, "c a"] | None = None
    rate: int = 0
    """Audio samples a second."""
    camera: Camera | None = None
    """Known calibration, if any: one camera, or one for each frame (several views of a moment, or a moving camera).
    In the second case the world is the calibration's own, in any unit."""
    times: Int[np.ndarray, " t"] | None = None
    """Time step of each frame, counted from 0, where several frames show the same moment; None: each its own."""
    held: Bool[np.ndarray, " t"] | None = None
    """Frames that the source itself sets aside to score on."""

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def steps(self) -> Int[np.ndarray, " t"]:
        """The time step of each frame."""
        return np.arange(len(self)) if self.times is None else self.times


@dataclass(frozen=True)
class Track:
    """The solution of a clip on a head model."""

    head: str
    identity: Float[Tensor, " s"]
    motion: Motion
    """One pose for each time step of the clip (its frames, unless several show the same moment)."""
    camera: Camera
    """One camera, or one for each frame of the clip."""
    quality: Float[Tensor, " t"]
    """By time step: 1 where landmarks agree with the model, falling to 0; 0 where the face was missing and the pose was
    bridged."""
    world: Float[Tensor, "4 4"] | None = None
    """Where the clip has a camera for each frame: the similarity from its world to this track's, metres."""


@dataclass(frozen=True)
class Render:
    """What a renderer saw."""

    rgb: Float[Tensor, "*b h w 3"]
    alpha: Float[Tensor, "*b h w 1"]
    depth: Float[Tensor, "*b h w 1"]
    """Alpha-weighted camera-space z in metres (divide by alpha for the expected depth)."""
    aux: Mapping[str, Tensor] = field(default_factory=dict)


def seed_all(seed: int) -> torch.Generator:
    """Returns a CPU generator seeded with `seed`; all randomness in the engine comes from one."""
    return torch.Generator().manual_seed(seed)
