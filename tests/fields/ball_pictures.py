"""Pictures of a coloured ball, made by arithmetic."""

from pathlib import Path

import numpy as np
import torch

from avatar3d.core import Camera, Clip

SIZE, RADIUS, AWAY = 48, 0.8, 3.0  # any unit
CENTRE = torch.tensor([2.0, -1.0, 0.5])


def cameras(count: int) -> Camera:
    """Cameras all around the ball, higher and lower."""
    turn = torch.arange(count) / count * 6.2832
    rise = 0.4 * (2 * turn).sin()
    back = torch.stack([turn.sin() * rise.cos(), rise.sin(), turn.cos() * rise.cos()], -1)
    right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([0.0, 1, 0]).expand_as(back), back), dim=-1)
    rotation = torch.stack([right, torch.linalg.cross(right, back), -back], 1)  # x right, y down, z forward
    w2c = torch.eye(4).repeat(count, 1, 1)
    w2c[:, :3, :3] = rotation
    w2c[:, :3, 3] = -(rotation @ (CENTRE + AWAY * back)[..., None])[..., 0]
    K = torch.tensor([[80.0, 0, SIZE / 2], [0, 80, SIZE / 2], [0, 0, 1]]).repeat(count, 1, 1)
    return Camera(w2c, K, SIZE, SIZE)


def photographs(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of the ball, coloured smoothly by place, and its masks."""
    y, x = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], -1).reshape(-1, 3)
    rays = pixels @ (camera.w2c[:, :3, :3].mT @ torch.linalg.inv(camera.K)).mT
    rays = torch.nn.functional.normalize(rays, dim=-1)
    start = (camera.position - CENTRE)[:, None]
    along = (start * rays).sum(-1)
    inside = along**2 - (start**2).sum(-1) + RADIUS**2
    place = start + (-along - inside.clamp(min=0).sqrt())[..., None] * rays
    colour = 0.5 + 0.4 * (3 * place / RADIUS).sin()
    colour = torch.where(inside[..., None] > 0, colour, 0.3)
    shape = (len(colour), SIZE, SIZE)
    return (colour * 255).round().byte().reshape(*shape, 3).numpy(), ((inside > 0).byte() * 255).reshape(shape).numpy()


class Stack:
    def __init__(self, pictures: np.ndarray):
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int, /) -> np.ndarray:
        return self.pictures[index]

    def __iter__(self):
        return iter(self.pictures)


def ball_clip(count: int = 12, masked: bool = True, held: int = 3) -> Clip:
    camera = cameras(count)
    images, masks = photographs(camera)
    return Clip(
        *(Path("ball"), SIZE, SIZE, 25.0, Stack(images)),
        masks=Stack(masks) if masked else None,
        camera=camera,
        times=np.zeros(count, int),
        held=np.arange(count) % 4 == held,
    )
