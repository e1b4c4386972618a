import math

import pytest
import torch

from avatar3d.core import AvatarError, Camera
from avatar3d.geometry import orbit
from avatar3d.render.shade import Light, Texture, normals, shade

FLAT = Light(ambient=1.0, gloss=0.0)


def ball(rows=30, columns=40, radius=0.1):
    theta = torch.linspace(0, math.pi, rows + 1)[:, None]
    phi = torch.arange(columns) * (2 * math.pi / columns)
    points = torch.stack(
        [theta.sin() * phi.sin(), theta.cos() * torch.ones(columns), theta.sin() * phi.cos()], -1
    ).reshape(-1, 3)
    a = (torch.arange(rows)[:, None] * columns + torch.arange(columns)).flatten()
    b = (torch.arange(rows)[:, None] * columns + (torch.arange(columns) + 1) % columns).flatten()
    faces = torch.cat([torch.stack([a, a + columns, b], 1), torch.stack([b, a + columns, b + columns], 1)])
    return points * radius, faces


def front(size=80):
    cameras = orbit(torch.zeros(1), distance=0.6, target=(0.0, 0.0, 0.0), size=(size, size))
    return Camera(cameras.w2c[0], cameras.K[0], size, size)


def test_normals_of_a_ball_point_outward():
    vertices, faces = ball()
    middle = vertices[:, 1].abs() < 0.09  # the poles' rings coincide
    torch.testing.assert_close(normals(vertices, faces)[middle], vertices[middle] / 0.1, atol=2e-2, rtol=0)


def test_flat_light_shows_the_colours_premultiplied_by_coverage():
    vertices, faces = ball()
    colour = torch.tensor([0.2, 0.5, 0.8])
    picture = shade(vertices, faces, front(), colour.expand(len(vertices), 3), FLAT, supersample=3)
    torch.testing.assert_close(picture.rgb, picture.alpha * colour, atol=1e-6, rtol=0)
    assert picture.alpha.max() == 1 and picture.alpha.min() == 0
    assert ((picture.alpha > 0) & (picture.alpha < 1)).any()  # smooth edges
    focal, radius = 80 / (2 * math.tan(math.radians(15))), 0.1
    seen = math.pi * (focal * radius / math.sqrt(0.6**2 - radius**2)) ** 2
    assert abs(float(picture.alpha.sum()) / seen - 1) < 0.02
    assert abs(float(picture.depth[40, 40]) - 0.5) < 2e-3


def test_the_lit_side_is_brighter():
    vertices, faces = ball()
    left = shade(vertices, faces, front(), light=Light(direction=(-1.0, 0.0, 0.2))).rgb.mean((0, 2))
    assert left[:40].sum() > 1.3 * left[40:].sum()
    above = shade(vertices, faces, front(), light=Light(direction=(0.0, 1.0, 0.2))).rgb.mean((1, 2))
    assert above[:40].sum() > 1.3 * above[40:].sum()


def test_inner_sides_are_lit_like_outer_ones():
    vertices, faces = ball()
    outer = shade(vertices, faces, front())
    flipped = shade(vertices, faces[:, [0, 2, 1]], front())
    torch.testing.assert_close(outer.rgb, flipped.rgb, atol=1e-5, rtol=0)


def test_a_texture_is_looked_up_with_v_up():
    square = torch.tensor([[-0.1, -0.1, 0.0], [0.1, -0.1, 0.0], [0.1, 0.1, 0.0], [-0.1, 0.1, 0.0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    uv = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])[faces]
    image = torch.zeros(8, 8, 3)
    image[:4, :4, 0] = 1  # red: top left
    image[4:, 4:, 2] = 1  # blue: bottom right
    rgb = shade(square, faces, front(), Texture(image, uv), FLAT).rgb
    torch.testing.assert_close(rgb[28, 28], torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(rgb[52, 52], torch.tensor([0.0, 0.0, 1.0]))
    torch.testing.assert_close(rgb[28, 52], torch.zeros(3))


def test_batches_are_loops():
    vertices, faces = ball()
    colours = torch.rand(len(vertices), 3, generator=torch.Generator().manual_seed(0))
    several = torch.stack([vertices, vertices * 0.7])
    cameras = orbit(torch.tensor([0.0, 1.0]), distance=0.6, size=(40, 50))
    both = shade(several, faces, cameras, colours)
    assert both.rgb.shape == (2, 50, 40, 3)
    for i in range(2):
        one = shade(several[i], faces, Camera(cameras.w2c[i], cameras.K[i], 40, 50), colours)
        torch.testing.assert_close(both.rgb[i], one.rgb, atol=1e-6, rtol=0)
        assert torch.equal(both.alpha[i], one.alpha)


def test_errors_say_what_is_wrong():
    vertices, faces = ball()
    with pytest.raises(AvatarError, match="supersample is 0"):
        shade(vertices, faces, front(), supersample=0)
    with pytest.raises(AvatarError, match="colours for 5"):
        shade(vertices, faces, front(), Texture(torch.zeros(4, 4, 3), torch.zeros(5, 3, 2)))
