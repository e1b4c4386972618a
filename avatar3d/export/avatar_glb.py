"""`avatar.glb`: splats (KHR_gaussian_splatting) with 52 morph targets, a skin and the avatar's own performance.

A renderer that knows the extension shows splats, one that does not shows points. Splats move as vertices do: their
rotations and the part of the avatar's blendshapes that joints drive stay as they are at rest.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avatar3d import heads
from avatar3d.core import Avatar, Gaussians
from avatar3d.export import gltf
from avatar3d.export.formats import ExportOptions
from avatar3d.export.skeleton import (
    add_bones,
    add_performance,
    at_ease,
    head_of,
    linear,
    shape_splats,
    splat_skin,
)
from avatar3d.export.splats import C0, as_numpy, has_face, opacities, posed_splats
from avatar3d.files import write_bytes
from avatar3d.render.path import neutral

EXTENSION = "KHR_gaussian_splatting"
_SPACE = {
    "kernel": "ellipse",
    "colorSpace": "srgb_rec709_display",
    "projection": "perspective",
    "sortingMethod": "cameraDistance",
}
NOTE, TRIANGLE, BARYCENTRIC = "avatar3d", "_TRIANGLE", "_BARYCENTRIC"
"""Names of what only our own reader understands: extras of the mesh, and attributes of its own (glTF allows them)."""
_LEAST = 2e-4
"""Metres: a shape leaves out the splats that it moves less. A quarter of a pixel of a head that fills 512."""


def write(avatar: Avatar, path: Path, options: ExportOptions) -> Mapping[str, Any]:
    """Writes the avatar as one binary glTF file; splats without a head as they stand."""
    glb = gltf.Glb()
    plain, weights = avatar, []
    if has_face(avatar):
        plain, weights = at_ease(linear(avatar, head_of(avatar, "glb")), head_of(avatar, "glb"))
    rest = posed_splats(plain, neutral(heads.load(avatar.head)))
    attributes = _attributes(glb, rest)
    primitive: dict[str, Any] = {"mode": 0, "attributes": attributes, "extensions": {EXTENSION: _SPACE}}
    mesh: dict[str, Any] = {"primitives": [primitive]}
    top: dict[str, Any] = {"extensionsUsed": [EXTENSION], "scene": 0, "scenes": [{"nodes": [0]}]}
    nodes: list[dict] = [{"name": "avatar", "mesh": 0}]
    if has_face(avatar):
        head = head_of(avatar, "glb")
        skin = splat_skin(avatar, head)
        attributes["JOINTS_0"] = glb.add(skin.joints.astype(np.uint8), "VEC4")
        attributes["WEIGHTS_0"] = glb.add(skin.weights, "VEC4")
        names = []
        primitive["targets"] = []
        attributes |= _binding(glb, avatar)
        for name, moved in shape_splats(plain, head, rest):
            options.progress("shapes", len(names) + 1, len(head.expressions))
            names.append(name)
            primitive["targets"].append({"POSITION": glb.sparse(moved, _LEAST)})
        mesh |= {"weights": weights, "extras": {"targetNames": names, NOTE: _note(glb, avatar)}}
        joints, skin_meta = add_bones(glb, avatar, head, len(nodes))
        nodes[0]["skin"] = 0
        nodes += joints
        top |= {"skins": [skin_meta], "scenes": [{"nodes": [0, 1]}]}
        if animations := add_performance(glb, avatar, 0, 1, options.frames):
            top["animations"] = animations
    glb.top |= {**top, "nodes": nodes, "meshes": [mesh]}
    glb.top["asset"] |= credits(avatar)
    data = glb.to_bytes()
    write_bytes(path, data)
    frames = (
        0
        if avatar.motion is None or "animations" not in top
        else len(avatar.motion.pose[slice(0, options.frames)].root)
    )
    return {"splats": len(rest), "shapes": len(primitive.get("targets", [])), "frames": frames, "bytes": len(data)}


def _binding(glb: gltf.Glb, avatar: Avatar) -> dict[str, int]:
    """Adds what our own reader needs to bind the splats again; others leave it alone."""
    return {
        TRIANGLE: glb.add(as_numpy(avatar.binding.face.float()[:, None]), "SCALAR"),
        BARYCENTRIC: glb.add(as_numpy(avatar.binding.bary[:, :2]), "VEC2"),
    }


def _note(glb: gltf.Glb, avatar: Avatar) -> dict[str, Any]:
    """Returns what our own reader needs to make the head again."""
    note: dict[str, Any] = {"head": avatar.head, "identity": [float(x) for x in avatar.identity]}
    return note if avatar.shape is None else {**note, "shape": glb.add(as_numpy(avatar.shape), "VEC3", None)}


def credits(avatar: Avatar) -> dict[str, Any]:
    """Returns what the file says of where the avatar comes from and what may be done with it."""
    said = {name: str(avatar.about[name]) for name in ("consent", "licence") if avatar.about.get(name)}
    told: dict[str, Any] = {"extras": {"made_with": "avatar3d", "digital_head": True, **said}}
    return {**told, "copyright": said["licence"]} if "licence" in said else told


def _attributes(glb: gltf.Glb, g: Gaussians) -> dict[str, int]:
    """Adds the splats' numbers and returns their accessors by name."""
    dc = as_numpy(g.sh[:, 0])
    opacity = opacities(g).astype(np.float32)
    colour = np.clip(np.column_stack([dc * C0 + 0.5, opacity]) * 255 + 0.5, 0, 255).astype(np.uint8)
    found = {
        "POSITION": glb.add(as_numpy(g.means), "VEC3", bounds=True),
        "COLOR_0": glb.add(colour, "VEC4", unit=True),  # what a viewer of points shows
        f"{EXTENSION}:ROTATION": glb.add(as_numpy(g.quats)[:, [1, 2, 3, 0]], "VEC4"),
        f"{EXTENSION}:SCALE": glb.add(as_numpy(g.scales), "VEC3"),
        f"{EXTENSION}:OPACITY": glb.add(opacity[:, None], "SCALAR"),
        f"{EXTENSION}:SH_DEGREE_0_COEF_0": glb.add(dc, "VEC3"),
    }
    degrees = int(g.sh.shape[1] ** 0.5)
    for degree in range(1, degrees):
        for i in range(2 * degree + 1):
            name = f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{i}"
            found[name] = glb.add(as_numpy(g.sh[:, degree**2 + i]), "VEC3")
    return found
