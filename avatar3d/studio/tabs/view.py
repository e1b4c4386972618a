"""How one visitor looks at the scene: their own, nobody else's."""

import math
from typing import Any

from avatar3d.studio.cameras import Eye, facing, of_camera
from avatar3d.studio.desk import Desk
from avatar3d.studio.drawing import DRAWS
from avatar3d.studio.layers import LAYERS, Layers
from avatar3d.studio.pictures import AGAINST, COMPARES
from avatar3d.studio.stream import Visitor

_VIEWS = {"Front": (0, 0), "¾ left": (35, 5), "¾ right": (-35, 5), "Left": (90, 0), "Right": (-90, 0), "Above": (0, 40)}


def build(desk: Desk, client: Any, visitor: Visitor, layers: Layers) -> None:
    """Adds one visitor's settings (to the shared window's container that is open)."""
    gui, look, number = client.gui, visitor.look, client.client_id

    def style(handle: Any, name: str, kind: Any = None) -> None:
        desk.heard(
            handle, lambda v, c: desk.stream.restyle(number, **{name: kind(handle.value) if kind else handle.value})
        )

    view = gui.add_button_group("View", tuple(_VIEWS))
    fov = gui.add_slider("Field of view", 5.0, 90.0, 1.0, 30.0, hint="Degrees, vertical")
    style(gui.add_dropdown("Draw", DRAWS, initial_value=look.draw), "draw")
    style(gui.add_checkbox("Mesh lines over it", look.mesh_lines), "mesh_lines")
    style(gui.add_dropdown("Compare", COMPARES, initial_value=look.compare), "compare")
    style(
        gui.add_dropdown("With", AGAINST, initial_value=look.against, hint="A clip: drop a video, or --clip"), "against"
    )
    style(gui.add_slider("Wipe", 0.0, 1.0, 0.01, look.wipe), "wipe", float)
    style(gui.add_checkbox("Through the clip's camera", look.through), "through")
    style(gui.add_rgb("Background", look.background), "background", lambda v: tuple(int(c) for c in v))
    style(
        gui.add_slider("Sharpness", 128, 2048, 64, look.resolution, hint="Longest side at rest, pixels"),
        "resolution",
        int,
    )
    style(
        gui.add_slider("Smoothness", 20, 500, 10, look.moving, hint="Milliseconds a moving picture may take"),
        "moving",
        int,
    )
    save = gui.add_button("Save this picture", icon="download")
    with gui.add_folder("Layers of the 3D scene", expand_by_default=False):
        for name in LAYERS:
            layer = gui.add_checkbox(name.capitalize(), name in layers.wanted)
            desk.heard(layer, lambda v, c, name=name, layer=layer: layers.want(name, bool(layer.value)))

    def turned(value: str, c: Any) -> None:
        look_from(c, facing(*_VIEWS[value]))

    def zoomed(value: Any, c: Any) -> None:
        client.camera.fov = math.radians(fov.value)

    def saved(value: Any, c: Any) -> None:
        from avatar3d.studio.pictures import picture

        scene = desk.document.scene()
        if scene is None or visitor.eye is None:
            return
        camera = visitor.eye.camera(*visitor.size)
        path = desk.inbox.path / "picture.png"
        from avatar3d.render.video import write_png

        write_png(path, picture(scene, camera, visitor.look, desk.document.camera()))
        c.send_file_download("avatar.png", path.read_bytes())

    desk.heard(view, turned)
    desk.heard(fov, zoomed)
    desk.heard(save, saved)


def look_from(client: Any, eye: Eye) -> None:
    """Moves a visitor's camera."""
    with client.atomic():
        client.camera.wxyz = eye.wxyz
        client.camera.position = eye.position
        client.camera.look_at = _centre(eye)
        client.camera.fov = eye.fov


def _centre(eye: Eye) -> tuple[float, float, float]:
    """Returns the point before an eye that is nearest to the head: what the mouse turns around."""
    import torch

    from avatar3d.studio.cameras import TARGET

    camera = eye.camera(64, 64)
    forward = camera.w2c[2, :3]
    away = float((torch.tensor(TARGET) - torch.tensor(eye.position)) @ forward)
    x, y, z = (torch.tensor(eye.position) + forward * max(away, 0.05)).tolist()
    return x, y, z


def where(camera: Any) -> Eye | None:
    """Returns the eye of viser's camera; None where it is not known yet.

    What a page tells before it has heard that y is up is told in other axes.
    """
    wxyz, position = tuple(map(float, camera.wxyz)), tuple(map(float, camera.position))
    if not any(wxyz) or not 0 < camera.fov < math.pi or float(camera.up_direction[1]) < 0.99:
        return None
    return Eye((position[0], position[1], position[2]), (wxyz[0], wxyz[1], wxyz[2], wxyz[3]), float(camera.fov))


def clip_eye(desk: Desk) -> Eye | None:
    """Returns the eye of the clip's camera."""
    camera = desk.document.camera()
    return None if camera is None else of_camera(camera)
