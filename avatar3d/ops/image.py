"""Pictures: from and to bytes, and the loss between them, L1 and structural similarity with its gradient."""

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from avatar3d.core import AvatarError
from avatar3d.ops import backends, reference_fit
from avatar3d.ops.gpu import Host, run

_TILE = (128, 64)  # rows and columns, as in cuda/cpu/loss.h


def l1_ssim(
    render: Float[Tensor, "b h w 3"],
    target: Float[Tensor, "b h w 3"],
    weight: Float[Tensor, "b h w"] | None = None,
    ssim_share: float = 0.2,
    backend: str = "auto",
) -> Float[Tensor, ""]:
    """Returns (1 - s) L1 + s (1 - SSIM), averaged over pixels by their weights; differentiable in `render` alone.

    SSIM as in 3D Gaussian splatting: 11 x 11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, data range 1, each
    channel by itself, zeros outside the picture (so that its size stays; metrics count inner windows only and are in
    `avatar3d.score`). The native kernels serve float32, the PyTorch twin everything else. The same bits for any number
    of threads.

    Args:
        render: Pictures in about [0, 1].
        target: What they should be; no gradient.
        weight: Of each pixel, not negative; of a window by its centre. None weighs all the same. No gradient.
        ssim_share: s, in [0, 1].
        backend: `auto`, `cuda`, `cpu` or `reference`.

    Raises:
        AvatarError: The sizes differ, or the share is out of range.
    """
    if render.shape != target.shape or (weight is not None and weight.shape != render.shape[:-1]):
        shapes = [tuple(x.shape) for x in (render, target, weight) if x is not None]
        raise AvatarError(f"l1_ssim: render, target and weight do not fit: {shapes}")
    if not 0 <= ssim_share <= 1:
        raise AvatarError(f"l1_ssim: the share is {ssim_share}; give a number in [0, 1]")
    tensors = {"render": render, "target": target} | ({} if weight is None else {"weight": weight})
    kind = backends.choose("loss", tensors, backend)
    if kind == "reference":
        return reference_fit.l1_ssim(render, target, weight, ssim_share)
    return _L1Ssim.apply(render, target, weight, ssim_share, kind)  # type: ignore[return-value]


def to_bytes(
    rgb: Float[Tensor, "*b h w 3"], alpha: Float[Tensor, "*b h w 1"] | None = None, backend: str = "auto"
) -> UInt8[Tensor, "*b h w c"]:
    """Returns sRGB in [0, 1] as bytes; with alpha as RGBA, the colours divided by alpha as PNG wants them.

    Kernels serve float32 on the CPU and on CUDA, the PyTorch twin everything else, with the same bits.
    """
    rgb, alpha = rgb.detach(), None if alpha is None else alpha.detach()
    kind = backends.choose("bytes", {"rgb": rgb} | ({} if alpha is None else {"alpha": alpha}), backend)
    if kind == "reference":
        return reference_fit.to_bytes(rgb, alpha)
    out = torch.empty(*rgb.shape[:-1], 3 if alpha is None else 4, dtype=torch.uint8, device=rgb.device)
    given = (rgb.contiguous(), None if alpha is None else alpha.contiguous())
    run(kind, "image_bytes", *given, rgb.shape[:-1].numel(), out)
    return out


def composite(
    images: UInt8[Tensor, "m h w 3"],
    masks: UInt8[Tensor, "m h w"],
    rows: Int[Tensor, " b"],
    background: Float[Tensor, "b 3"],
    shrink: int = 1,
    backend: str = "auto",
) -> tuple[Float[Tensor, "b y x 3"], Float[Tensor, "b y x"]]:
    """Returns pictures over solid colours, picture * matte + colour * (1 - matte), and their mattes, in [0, 1].

    One pass over the bytes in place of a dozen over floats; float32 on the CPU and on CUDA. Everything else takes the
    PyTorch twin.

    Args:
        images: sRGB, 0 to 255.
        masks: Mattes, 0 to 255.
        rows: Which of them.
        background: A colour for each, in [0, 1].
        shrink: Averages blocks of so many pixels squared; rows and columns that fill no block are dropped.
        backend: `auto`, or one of the op's backends (`avatar3d doctor` lists them).

    Raises:
        AvatarError: Shapes do not fit, a row is outside, or nothing is left of the picture.
    """
    m, h, w = masks.shape
    if images.shape != (m, h, w, 3) or background.shape != (len(rows), 3):
        shapes = [tuple(x.shape) for x in (images, masks, rows, background)]
        raise AvatarError(f"composite: images, masks, rows and background do not fit: {shapes}")
    tensors = {"images": images, "masks": masks, "rows": rows, "background": background}
    kind = backends.choose("composite", tensors, backend)
    if kind == "reference":
        return reference_fit.composite(images, masks, rows, background, shrink)
    target, mask = (background.new_empty(len(rows), h // max(shrink, 1), w // max(shrink, 1), *c) for c in ((3,), ()))
    given = (images.contiguous(), masks.contiguous(), rows.long().contiguous(), background.contiguous())
    run(kind, "composite", *given, m, h, w, len(rows), shrink, target, mask)
    return target, mask


class _L1Ssim(torch.autograd.Function):
    @staticmethod
    def forward(ctx, render: Tensor, target: Tensor, weight: Tensor | None, ssim_share: float, kind: str):
        b, h, w, _ = render.shape
        gradient = render.new_empty(b, h, w, 3) if ctx.needs_input_grad[0] else None
        if kind == "cpu":
            parts = torch.empty(b * -(-h // _TILE[0]) * -(-w // _TILE[1]), dtype=torch.float64)
        else:
            floats = torch.zeros(1, dtype=torch.int64)
            run(kind, "loss_workspace", b, h, w, Host(floats))
            parts = render.new_empty(int(floats))
        loss = render.new_empty(())
        run(
            *(kind, "loss_l1_ssim", render.contiguous(), target.contiguous()),
            *(weight if weight is None else weight.contiguous(), b, h, w, ssim_share, parts, loss, gradient),
        )
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx, given: Tensor):  # type: ignore[override]
        (gradient,) = ctx.saved_tensors
        return (gradient if given.item() == 1 else gradient * given), None, None, None, None
