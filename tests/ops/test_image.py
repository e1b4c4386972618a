import pytest
import torch
from skimage.metrics import structural_similarity

from avatar3d.core import AvatarError
from avatar3d.ops import image, native, reference_fit


def pictures(b=2, h=40, w=50, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    render, target = (torch.rand(b, h, w, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    weight = torch.rand(b, h, w, generator=generator, dtype=torch.float64) + 0.1
    return render.to(dtype), (0.6 * render + 0.4 * target).to(dtype), weight.to(dtype)


def both(function, render, target, weight, share):
    render = render.clone().requires_grad_()
    loss = function(render, target, weight, share)
    return loss.detach(), torch.autograd.grad(loss, render)[0]


def assert_same_as_twin(render, target, weight, share):
    loss, gradient = both(image.l1_ssim, render, target, weight, share)
    exact = [None if x is None else x.double() for x in (render, target, weight)]
    wanted, wanted_gradient = both(reference_fit.l1_ssim, *exact, share)
    assert wanted > 0.01
    torch.testing.assert_close(loss.double(), wanted, atol=0, rtol=2e-5)
    largest = float(wanted_gradient.abs().max())
    torch.testing.assert_close(gradient.double(), wanted_gradient, atol=2e-4 * largest, rtol=0)
    assert (gradient.double() - wanted_gradient).norm() < 2e-5 * wanted_gradient.norm()


@pytest.mark.parametrize("level", native.isas() if native.available() else ())
@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_agrees_with_the_twin(level, share):
    with native.using_isa(level):
        assert_same_as_twin(*pictures(), share)


# Around the sizes of the window and of the tiles, 64 wide and 128 high.
@pytest.mark.parametrize("size", [(1, 1), (3, 7), (128, 64), (129, 65), (140, 131)])
def test_any_size_agrees_with_the_twin(size):
    render, target, weight = pictures(1, *size)
    assert_same_as_twin(render, target, weight, 0.5)
    assert_same_as_twin(render, target, None, 0.5)


@pytest.mark.parametrize("rows", [(0, 30), (20, 75), (90, 140), (0, 140)])
def test_equal_backdrops_agree_with_the_twin(rows):
    render, target, weight = pictures(1, 140, 131)
    render[:, rows[0] : rows[1], :70] = target[:, rows[0] : rows[1], :70]
    render[:, :, 90:] = target[:, :, 90:]
    assert_same_as_twin(render, target, weight, 0.5)


def test_the_twin_passes_gradcheck():
    render, target, weight = pictures(1, 6, 7, torch.float64)
    assert torch.autograd.gradcheck(lambda x: reference_fit.l1_ssim(x, target, weight, 0.4), render.requires_grad_())


def test_inner_windows_are_those_of_scikit_image():
    render, target, _ = pictures(1, 32, 36)
    inner = reference_fit.ssim_map(render, target)[0, 5:-5, 5:-5].mean()
    wanted = structural_similarity(
        render[0].numpy(),
        target[0].numpy(),
        channel_axis=-1,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert abs(float(inner) - wanted) < 1e-6


def test_equal_pictures_lose_nothing():
    render, _, weight = pictures()
    loss, gradient = both(image.l1_ssim, render, render, weight, 0.2)
    assert abs(float(loss)) < 1e-6 and gradient.abs().max() < 1e-7


def test_pixels_without_weight_count_for_nothing():
    render, target, weight = pictures()
    weight[:, :, 30:] = 0
    wild = target.clone()
    wild[:, :, 41:] = 0.5  # beyond the window of any pixel that counts
    assert torch.equal(image.l1_ssim(render, target, weight), image.l1_ssim(render, wild, weight))
    assert float(image.l1_ssim(render, target, torch.zeros_like(weight))) == 0


def test_threads_do_not_change_a_bit():
    render, target, weight = pictures(3, 200, 150)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(both(image.l1_ssim, render, target, weight, 0.2))
    finally:
        torch.set_num_threads(before)
    for loss, gradient in results[1:]:
        assert torch.equal(loss, results[0][0]) and torch.equal(gradient, results[0][1])


def test_the_gradient_is_scaled_by_what_follows():
    render, target, weight = pictures()
    _, once = both(image.l1_ssim, render, target, weight, 0.2)
    _, thrice = both(lambda *x: 3 * image.l1_ssim(*x), render, target, weight, 0.2)
    torch.testing.assert_close(thrice, 3 * once)


def test_errors_say_what_is_wrong():
    render, target, weight = pictures()
    with pytest.raises(AvatarError, match="share is 1"):
        image.l1_ssim(render, target, weight, 1.5)


@pytest.mark.parametrize("level", native.isas() if native.available() else ())
@pytest.mark.parametrize("size", [(1, 1), (3, 7), (160, 211)])
def test_bytes_are_those_of_the_twin(size, level):
    generator = torch.Generator().manual_seed(1)
    rgb = torch.rand(2, *size, 3, generator=generator) * 1.4 - 0.2  # some below 0 and above 1
    alpha = torch.rand(2, *size, 1, generator=generator)
    rgb[:, 0, 0, 0], alpha[0, 0, 0] = 0.5, 0.0
    with native.using_isa(level):
        for given in (None, alpha):
            got = image.to_bytes(rgb, given)
            assert got.dtype == torch.uint8 and got.shape == (2, *size, 3 if given is None else 4)
            assert torch.equal(got, reference_fit.to_bytes(rgb, given))


@pytest.mark.parametrize("shrink", [1, 2, 3, 8])
def test_composites_agree_with_the_twin(shrink):
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (5, 40, 301, 3), dtype=torch.uint8, generator=generator)
    masks = torch.randint(0, 256, (5, 40, 301), dtype=torch.uint8, generator=generator)
    rows, background = torch.tensor([4, 0, 4]), torch.rand(3, 3, generator=generator)
    got = image.composite(images, masks, rows, background, shrink)
    want = reference_fit.composite(images, masks, rows, background.double(), shrink)
    assert got[0].shape == (3, 40 // shrink, 301 // shrink, 3) and got[0].std() > 0.01
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a.double(), b, atol=3e-7, rtol=0)


def test_composites_of_pictures_that_are_not_there_are_refused():
    images, masks = torch.zeros(2, 4, 4, 3, dtype=torch.uint8), torch.zeros(2, 4, 4, dtype=torch.uint8)
    with pytest.raises(AvatarError, match="picture 2 of 2"):
        image.composite(images, masks, torch.tensor([2]), torch.zeros(1, 3))
    with pytest.raises(AvatarError, match="shrink by 5"):
        image.composite(images, masks, torch.tensor([0]), torch.zeros(1, 3), 5)
