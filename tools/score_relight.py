"""How well relighting works: an avatar fitted to LeePerrySmith in one light, put in another, against the scan in that.

    AVATAR3D_DATA=data python -m tools.score_relight --work /tmp/relight

Prints PSNR over the scan's pixels in views that the fit did not see: relit with the light estimated and with the light
known, and not relit. The scan's texture is taken as albedo; both lights are as bright on the face on the whole.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

import avatar3d
from avatar3d.capture import synthetic
from avatar3d.capture.synthetic import stage, subjects
from avatar3d.capture.synthetic.subjects import Subject
from avatar3d.core import Avatar, Track
from avatar3d.edit.look.colour import from_linear, to_linear
from avatar3d.edit.look.light import Lights, harmonics
from avatar3d.edit.look.relight import Relight
from avatar3d.fit.options import preset
from avatar3d.heads import load as load_head
from avatar3d.ops import mesh
from avatar3d.render.shade import normals

_SOURCE = {"ambient": 0.45, "direction": (-0.7, 0.5, 0.6), "strength": 0.8}
_TARGETS = {
    "left": {"ambient": 0.3, "direction": (0.9, 0.3, 0.5), "strength": 0.9},
    "top": {"ambient": 0.35, "direction": (0.1, 1.0, 0.35), "strength": 0.9},
    "warm": {"ambient": 0.4, "direction": (0.6, -0.3, 0.8), "strength": 0.8, "colour": "#ffc890"},
}
_LUMA = (0.2126, 0.7152, 0.0722)


def lights(setting: dict, turn: Float[Tensor, "3 3"] | None = None) -> Lights:
    """Returns a light; `turn` takes its direction elsewhere."""
    from avatar3d.edit.look.colour import parse_colour

    direction = torch.tensor(setting["direction"])
    lamp = to_linear(torch.tensor(parse_colour(setting.get("colour", "#ffffff")))) * setting["strength"]
    way = direction if turn is None else turn @ direction
    return Lights(torch.full((3,), setting["ambient"]), None, lamp, way)


def lit(subject: Subject, light: Lights, level: float) -> Subject:
    """Returns the scan with a light baked into its texture, as bright on the front of the face as `level`."""
    assert subject.texture is not None and subject.uv is not None
    vertices = subject.posed(torch.zeros(0).numpy(), torch.zeros(3).numpy())
    side = subject.texture.shape[0]
    flat = torch.cat(
        [subject.uv[..., :1] * side, (1 - subject.uv[..., 1:]) * side, torch.ones(*subject.uv.shape[:2], 1)], -1
    )
    index = torch.arange(3 * len(flat)).reshape(-1, 3)
    seen = mesh.rasterize(flat.reshape(-1, 3).float(), index, avatar3d.Camera(torch.eye(4), torch.eye(3), side, side))
    around = normals(vertices, subject.faces)
    corners = around[subject.faces[seen.face.clamp_min(0).long()]]
    facing = functional.normalize((corners * seen.bary[..., None]).sum(-2), dim=-1)
    shading = light.shading(facing.reshape(-1, 3), torch.zeros(side * side, 3)).reshape(side, side, 3)
    shading = torch.where(seen.mask[..., None], shading, 1.0) * (level / mean_level(subject, light))
    return replace(subject, texture=from_linear(to_linear(subject.texture) * shading).clamp(0, 1))


def mean_level(subject: Subject, light: Lights) -> float:
    """Returns the mean luminance of a light over the front of the face."""
    vertices = subject.posed(torch.zeros(0).numpy(), torch.zeros(3).numpy())
    around = normals(vertices, subject.faces)
    front = (around[:, 2] > 0) & (vertices[:, 2] > -0.06) & (vertices[:, 1].abs() < 0.12)
    return float((light.shading(around[front], vertices[front]) @ torch.tensor(_LUMA)).mean())


def harmonic(light: Lights, turn: Tensor) -> tuple[float, ...]:
    """Returns the nearest harmonics of a light, turned into head space."""
    generator = torch.Generator().manual_seed(0)
    n = functional.normalize(torch.randn(20000, 3, generator=generator), dim=-1)
    shading = light.shading(n @ turn, torch.zeros_like(n))
    return tuple(torch.linalg.lstsq(harmonics(n), shading).solution.reshape(-1).tolist())


def psnr(avatar: Avatar, track: Track, truth: Subject, rows: list[int], clip) -> float:
    """Returns the mean PSNR over the scan's pixels."""
    total = 0.0
    vertices = truth.posed(torch.zeros(0).numpy(), torch.zeros(3).numpy())
    for row in rows:
        seen = stage.see(truth, vertices, clip.camera.at(row), 2)
        assert avatar.motion is not None
        got = avatar3d.render(avatar, avatar.motion.pose[0], track.camera.at(row))
        inside = seen.cover > 0.99
        error = (got.rgb.clamp(0, 1)[inside] - seen.colour[inside]).square().mean()
        total += float(-10 * torch.log10(error)) / len(rows)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--views", type=int, default=12)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--arc", type=float, help="cameras in front only, that many degrees to each side")
    parser.add_argument("--steps", type=int, default=500)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    plain = subjects.load("lps")
    level = mean_level(plain, lights(_SOURCE))
    source = lit(plain, lights(_SOURCE), level)
    folder = given.work / "capture"
    with mock.patch.object(subjects, "load", lambda *_: source):
        synthetic.synthetic(
            "lps", folder, synthetic.SyntheticOptions(views=given.views, size=given.size, arc=given.arc)
        )
    clip = avatar3d.capture(folder)
    track = avatar3d.track(clip)
    saved = given.work / "avatar.a3d"
    avatar = (
        avatar3d.load(saved)
        if saved.is_file()
        else avatar3d.fit(clip, track, preset("fast", steps=given.steps, perceptual=0.0))
    )
    avatar3d.save(avatar, saved)
    held = [i for i in range(len(clip)) if clip.held is not None and clip.held[i]]
    turn = head_turn(avatar, track)
    out: dict[str, object] = {"fit": psnr(avatar, track, source, held, clip)}
    for name, setting in _TARGETS.items():
        truth = lit(plain, lights(setting), level)
        direction = tuple((turn @ torch.tensor(setting["direction"])).tolist())
        fields = {k: v for k, v in setting.items() if k != "direction"}
        known = harmonic(lights(_SOURCE), turn)
        out[name] = {
            "not relit": psnr(avatar, track, truth, held, clip),
            "light estimated": psnr(avatar3d.edit(avatar, Relight(direction, **fields)), track, truth, held, clip),
            "light known": psnr(
                avatar3d.edit(avatar, Relight(direction, was=known, **fields)), track, truth, held, clip
            ),
        }
    print(json.dumps(out, indent=1))


def head_turn(avatar: Avatar, track: Track) -> Float[Tensor, "3 3"]:
    """Returns the rotation from the capture's world to the avatar's head at rest."""
    head = load_head(avatar.head)
    assert avatar.motion is not None
    pose = avatar.motion.pose[0]
    skull = head.joint_transforms(avatar.identity, pose)[list(head.joints).index("head")][:3, :3]
    world = torch.eye(3) if track.world is None else functional.normalize(track.world[:3, :3], dim=-1)
    return skull.T @ world


if __name__ == "__main__":
    main()
