"""`mesh-glb`: the head as a textured mesh with 52 morph targets, a skin and the avatar's own performance.

For every program that knows glTF and nothing of splats. Hair and clothes are as round as the head model's mesh.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from avatar3d.core import Avatar
from avatar3d.export import gltf
from avatar3d.export.avatar_glb import credits
from avatar3d.export.formats import ExportOptions
from avatar3d.export.skeleton import (
    add_bones,
    add_performance,
    at_ease,
    head_of,
    shape_vertices,
    strongest,
)
from avatar3d.export.splats import posed_splats
from avatar3d.export.texture import bake
from avatar3d.files import write_bytes
from avatar3d.render.path import neutral
from avatar3d.render.shade import normals

_LEAST = 2e-5
"""Metres: a shape leaves out the vertices that it moves less."""


def write(avatar: Avatar, path: Path, options: ExportOptions) -> Mapping[str, Any]:
    """Writes the mesh as one binary glTF file, its texture inside.

    Raises:
        AvatarError: The avatar has no head.
    """
    head = head_of(avatar, "mesh-glb")
    glb = gltf.Glb()
    plain, weights = at_ease(avatar, head)
    splats = posed_splats(plain, neutral(head))
    texture = bake(plain, head, splats, options)
    # glTF has one texture coordinate a vertex, the head one a corner: vertices at seams are doubled.
    corners = torch.cat([head.faces.reshape(-1, 1).double(), head.uv.reshape(-1, 2).double()], 1).numpy()
    rows, index = np.unique(corners, axis=0, return_inverse=True)
    source = torch.from_numpy(rows[:, 0].astype(np.int64))
    vertices = head.vertices(avatar.identity, neutral(head))
    skin = strongest(head.weights)
    triangles = index.reshape(-1).astype(np.uint16 if len(rows) < 1 << 16 else np.uint32)
    attributes = {
        "POSITION": glb.add(vertices[source].numpy(), "VEC3", gltf.VERTICES, bounds=True),
        "NORMAL": glb.add(normals(vertices, head.faces)[source].numpy(), "VEC3"),
        "TEXCOORD_0": glb.add(np.column_stack([rows[:, 1], 1 - rows[:, 2]]).astype(np.float32), "VEC2"),
        "JOINTS_0": glb.add(skin.joints[source].astype(np.uint8), "VEC4"),
        "WEIGHTS_0": glb.add(skin.weights[source], "VEC4"),
    }
    names, targets = [], []
    for name, moved in shape_vertices(avatar, head):
        names.append(name)
        targets.append({"POSITION": glb.sparse(moved[source.numpy()], _LEAST)})
    primitive = {
        "attributes": attributes,
        "indices": glb.add(triangles[:, None], "SCALAR", gltf.INDICES),
        "material": 0,
        "targets": targets,
    }
    joints, skin_meta = add_bones(glb, avatar, head, 1)
    colour = {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": 0.9}
    # The texture holds the light of the source already: `unlit` keeps a viewer from lighting it again.
    material = {"name": "head", "pbrMetallicRoughness": colour, "extensions": {"KHR_materials_unlit": {}}}
    glb.top |= {
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [{"name": "avatar", "mesh": 0, "skin": 0}, *joints],
        "meshes": [{"primitives": [primitive], "weights": weights, "extras": {"targetNames": names}}],
        "skins": [skin_meta],
        "materials": [{**material, "doubleSided": True}],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}],
        "images": [{"bufferView": glb.view(_png(texture)), "mimeType": "image/png", "name": "skin"}],
    }
    if animations := add_performance(glb, avatar, 0, 1, options.frames):
        glb.top["animations"] = animations
    glb.top["asset"] |= credits(avatar)
    data = glb.to_bytes()
    write_bytes(path, data)
    return {"triangles": len(head.faces), "shapes": len(names), "texture": len(texture), "bytes": len(data)}


def _png(image: np.ndarray) -> bytes:
    held = io.BytesIO()
    Image.fromarray((image * 255 + 0.5).astype(np.uint8)).save(held, "png")
    return held.getvalue()
