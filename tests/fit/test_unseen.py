"""Made-up colours."""

import torch

from avatar3d.fit.unseen import CLOTHES, EYES, HAIR, MOUTH, SKIN, fill, known, without_eyes, without_teeth


def test_skin_is_known_where_a_view_faced_it_and_hair_wherever_it_was_seen():
    shown = torch.tensor([0.0, 0.5, 0.5, 0.5, 0.5])
    facing = torch.tensor([1.0, 1.0, 0.05, 0.05, 0.21])
    skin = torch.tensor([True, True, True, False, True])
    assert torch.allclose(known(shown, facing, skin), torch.tensor([0.0, 1.0, 0.0, 1.0, 0.5]), atol=1e-6)


def test_a_photo_is_trusted_where_it_faced_the_skin():
    shown, skin = torch.full((3,), 0.5), torch.tensor([True, True, True])
    facing = torch.tensor([0.2, 0.425, 0.6])
    assert torch.allclose(known(shown, facing, skin, photo=True), torch.tensor([0.0, 0.5, 1.0]), atol=1e-6)
    assert (known(shown, facing, skin) >= torch.tensor([0.4, 1.0, 1.0])).all()


def scene():
    g = torch.Generator().manual_seed(0)
    points = torch.rand(600, 3, generator=g) * 0.2 - 0.1
    part = torch.randint(0, 5, (600,), generator=g)
    colours = torch.zeros(600, 3)
    for label, colour in ((SKIN, (0.8, 0.6, 0.5)), (HAIR, (0.1, 0.05, 0.0)), (CLOTHES, (0.0, 0.2, 0.6))):
        colours[part == label] = torch.tensor(colour)
    default = torch.full((600, 3), 0.7)
    return points, part, colours, default


def test_seen_colours_stay_and_the_unseen_take_those_of_their_part():
    points, part, colours, default = scene()
    seen = points[:, 2] > 0
    noisy = torch.where(seen[:, None], colours, torch.rand(600, 3))
    filled = fill(noisy, seen, points, part, default)
    assert torch.equal(filled[seen], colours[seen])
    solid = (part == SKIN) | (part == HAIR) | (part == CLOTHES)
    assert torch.allclose(filled[solid], colours[solid], atol=1e-5)


def test_eyes_and_mouth_take_the_models_colours_in_the_scenes_light():
    points, part, colours, default = scene()
    seen = (points[:, 2] > 0) & (part < EYES)
    filled = fill(colours, seen, points, part, default)
    light = (0.8 + 0.6 + 0.5) / 3 / 0.7
    assert torch.allclose(filled[part == MOUTH], default[part == MOUTH] * light, atol=1e-5)


def test_the_unseen_side_mirrors_the_seen_one():
    g = torch.Generator().manual_seed(1)
    half = torch.rand(300, 3, generator=g) * 0.1
    points = torch.cat([half, half * torch.tensor([-1.0, 1, 1])])
    colours = half[:, 1:2].expand(-1, 3) * 10
    seen = torch.arange(600) < 300
    filled = fill(
        torch.cat([colours, torch.zeros(300, 3)]), seen, points, torch.zeros(600).long(), colours.repeat(2, 1)
    )
    assert (filled[300:] - colours).abs().max() < 0.02


def test_the_rim_takes_the_light_of_its_own_side():
    g = torch.Generator().manual_seed(2)
    points = (torch.rand(4000, 3, generator=g) - 0.5) * torch.tensor([0.16, 0.1, 0.002])
    colours = torch.where(points[:, :1] > 0, 0.8, 0.4).expand(-1, 3).contiguous()  # light from the left
    seen = points[:, 0].abs() < 0.05
    default = torch.full((4000, 3), 0.5)
    filled = fill(torch.where(seen[:, None], colours, 0.0), seen, points, torch.zeros(4000).long(), default)
    rim = ~seen & (points[:, 0].abs() < 0.056)
    assert (filled - colours)[rim].abs().mean() < 0.05  # half of each side would be 0.2


def test_nothing_seen_still_gives_colours():
    points, part, colours, default = scene()
    filled = fill(colours, torch.zeros(600, dtype=torch.bool), points, part, default)
    assert filled.isfinite().all() and (filled[part == SKIN] == default[part == SKIN]).all()


def test_lips_do_not_keep_the_colour_of_teeth():
    g = torch.Generator().manual_seed(3)
    points = torch.rand(100, 3, generator=g) * 0.05
    lips, seen = torch.arange(100) < 80, torch.ones(100, dtype=torch.bool)
    colours = torch.tensor([0.7, 0.4, 0.4]).repeat(100, 1)
    teeth = torch.tensor([0.9, 0.85, 0.75])
    colours[60:] = teeth  # of lips and of what is none
    found = without_teeth(colours, lips, seen, points)
    assert torch.allclose(found[:80], colours[:1].expand(80, -1), atol=1e-5) and torch.equal(found[80:], colours[80:])
    assert torch.equal(without_teeth(colours[:60], lips[:60], seen[:60], points[:60]), colours[:60])
    assert torch.equal(without_teeth(colours, lips, ~seen, points), colours)


def test_lids_do_not_keep_the_colour_of_eyes():
    g = torch.Generator().manual_seed(4)
    points = torch.rand(100, 3, generator=g) * 0.03
    lids = torch.arange(100) < 90
    colours = torch.tensor([0.6, 0.5, 0.45]).repeat(100, 1)
    colours[50:70], colours[70:] = 0.95, 0.1  # the white and the iris
    shown, facing = torch.full((100,), 0.5), torch.full((100,), 0.9)
    facing[50:] = 0.1
    found = without_eyes(colours, lids, shown, facing, points)
    assert torch.allclose(found[:90], colours[:1].expand(90, -1), atol=1e-5) and (found[90:] == 0.1).all()
    assert torch.equal(without_eyes(colours, lids, shown, torch.zeros(100), points), colours)
