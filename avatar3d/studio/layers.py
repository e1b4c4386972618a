"""What viser draws itself over the pictures: mesh, splats, points, the clip's cameras, the camera path."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from avatar3d import geometry
from avatar3d.core import Camera
from avatar3d.render.image import world_splats
from avatar3d.studio.cameras import Keyframe, of_camera
from avatar3d.studio.document import Document
from avatar3d.studio.drawing import head_of
from avatar3d.studio.scene import Scene

LAYERS = ("clip camera", "camera path", "mesh", "splats", "points")
_SH0 = 0.28209479177387814
_GROWN = 10.0
"""viser holds covariances in half precision: a head ten times as large loses less (0.4 % instead of 2.7 %)."""
_FRUSTA = 24
"""Cameras of a moving clip that are drawn at most."""


@dataclass
class Layers:
    """The scene of one visitor. Each layer is made anew where the document has changed, and only if it is wanted."""

    scene: Any
    """viser's scene of that visitor."""
    document: Document
    wanted: frozenset[str] = frozenset()
    _made: int = -1

    def want(self, name: str, on: bool) -> None:
        """Shows a layer or hides it."""
        self.wanted = self.wanted | {name} if on else self.wanted - {name}
        if not on:
            self.scene.remove_by_name(f"/{name.replace(' ', '-')}")
        self._made = -1

    def refresh(self) -> None:
        """Brings the layers to the document's state."""
        version = self.document.version
        if not self.wanted or version == self._made:
            return
        self._made = version
        shown = self.document.scene()
        if shown is None:
            return
        for name in self.wanted:
            getattr(self, f"_{name.replace(' ', '_')}")(f"/{name.replace(' ', '-')}", shown)

    def _mesh(self, name: str, shown: Scene) -> None:
        head = head_of(shown.avatar)
        vertices = head.vertices(shown.avatar.identity, shown.pose)
        self.scene.add_mesh_simple(name, vertices.numpy(), head.faces.numpy(), color=(90, 140, 220), wireframe=True)

    def _splats(self, name: str, shown: Scene) -> None:
        with torch.no_grad():
            world = world_splats(shown.avatar, shown.pose)
            turned = geometry.quat_to_matrix(world.quats) * world.scales[:, None, :]
            spread = (turned @ turned.mT) * _GROWN**2
            colours = (world.sh[:, 0] * _SH0 + 0.5).clamp(0, 1)
        self.scene.add_gaussian_splats(
            name,
            centers=(world.means * _GROWN).numpy(),
            covariances=spread.numpy(),
            rgbs=colours.numpy(),
            opacities=world.opacities[:, None].numpy(),
            scale=1 / _GROWN,
        )

    def _points(self, name: str, shown: Scene) -> None:
        with torch.no_grad():
            world = world_splats(shown.avatar, shown.pose)
        colours = (world.sh[:, 0] * _SH0 + 0.5).clamp(0, 1).numpy()
        self.scene.add_point_cloud(name, world.means.numpy(), colours, point_size=0.001)

    def _clip_camera(self, name: str, shown: Scene) -> None:
        cameras = [self.document.camera()]
        source = shown.source
        if source is not None and source.cameras.w2c.dim() > 2:
            every = max(1, len(source.cameras.w2c) // _FRUSTA)
            cameras = [source.cameras.at(i) for i in range(0, len(source.cameras.w2c), every)]
        self.scene.remove_by_name(name)
        for i, camera in enumerate(cameras):
            if camera is not None:
                image = source.frame(shown.frame)[::4, ::4] if source is not None and len(cameras) == 1 else None
                self._frustum(f"{name}/{i}", camera, image)

    def _camera_path(self, name: str, shown: Scene) -> None:
        self.scene.remove_by_name(name)
        keyframes: tuple[Keyframe, ...] = self.document.keyframes
        for i, keyframe in enumerate(keyframes):
            self._frustum(f"{name}/{i}", keyframe.eye.camera(160, 120), None, (220, 120, 20), 0.05)
        if len(keyframes) > 1:
            places = np.array([k.eye.position for k in keyframes])
            self.scene.add_spline_catmull_rom(f"{name}/line", places, color=(220, 120, 20), line_width=2.0)

    def _frustum(
        self,
        name: str,
        camera: Camera,
        image: np.ndarray | None,
        colour: tuple[int, int, int] = (30, 90, 200),
        scale: float = 0.12,
    ) -> None:
        eye = of_camera(camera)
        self.scene.add_camera_frustum(
            name,
            fov=eye.fov,
            aspect=camera.width / camera.height,
            scale=scale,
            thickness=0.002,
            color=colour,
            image=image,
            wxyz=eye.wxyz,
            position=eye.position,
        )
