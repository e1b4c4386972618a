"""Adam over named tensors: fused on the CPU, and gathered by an index when splats come and go."""

from collections.abc import Collection, Mapping

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from avatar3d.core import AvatarError
from avatar3d.ops import backends, reference_fit
from avatar3d.ops.gpu import run


def adam_step(
    value: Tensor,
    gradient: Tensor,
    moments: tuple[Tensor, Tensor],
    step: int,
    rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-15,
    skip: Bool[Tensor, " n"] | None = None,
    backend: str = "auto",
) -> None:
    """Does one step of Adam in place, as `torch.optim.Adam` does; the same bits for any number of threads.

    Args:
        value: What is optimised; contiguous.
        gradient: Of the loss, the same shape.
        moments: Running means of the gradient and of its square; zeros before the first step.
        step: Number of this step, from 1: corrects the moments' bias.
        rate: Learning rate, in units of `value`.
        betas: Decay of the moments.
        epsilon: Added to the root of the second moment.
        skip: Rows (first axis) that stand still, moments too.
        backend: `auto`, `cuda`, `cpu` or `reference`.

    Raises:
        AvatarError: If shapes differ, or `step` is less than 1.
    """
    tensors = (value, gradient, *moments)
    if any(x.shape != value.shape for x in tensors) or (skip is not None and len(skip) != len(value)):
        shapes = [tuple(x.shape) for x in tensors] + ([tuple(skip.shape)] if skip is not None else [])
        raise AvatarError(f"adam_step: value, gradient, moments and skip do not fit: {shapes}")
    if step < 1:
        raise AvatarError(f"adam_step: step is {step}; steps count from 1")
    value = value.detach()
    named = {"value": value, "gradient": gradient, "first moment": moments[0], "second moment": moments[1]}
    kind = backends.choose("adam", named if skip is None else named | {"skip": skip}, backend)
    if kind == "reference":
        reference_fit.adam_step(value, gradient, moments, step, rate, betas, epsilon, skip)
        return
    rows = value.shape[0] if value.dim() else 1
    run(
        *(kind, "adam_step", value, gradient.contiguous(), *moments, skip, rows, value.numel() // max(rows, 1)),
        *(step, rate, *betas, epsilon),
    )


class Adam:
    """Adam over tensors with names, each with a learning rate of its own.

    A tensor without a gradient stands still and its bias correction with it, as in `torch.optim.Adam`.
    """

    values: dict[str, Tensor]
    """The tensors that are optimised: leaves of the autograd graph."""
    rates: dict[str, float]
    """Learning rates by name; change them at will between steps."""

    def __init__(
        self,
        values: Mapping[str, Tensor],
        rates: Mapping[str, float],
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-15,
    ) -> None:
        missing = sorted(values.keys() - rates.keys())
        if missing:
            raise AvatarError(f"Adam: no learning rate for {', '.join(missing)}")
        self.values = dict(values)
        self.rates = {name: rates[name] for name in values}
        self._betas, self._epsilon = betas, epsilon
        self._steps = dict.fromkeys(values, 0)
        self._moments = {name: (torch.zeros_like(x), torch.zeros_like(x)) for name, x in _data(values)}

    def step(self, held: Collection[str] = (), skip: Mapping[str, Tensor] | None = None) -> None:
        """Moves each tensor against its `.grad`.

        Args:
            held: Names that stand still.
            skip: Rows that stand still, by name (bool, n).
        """
        for name, value in self.values.items():
            if value.grad is None or name in held:
                continue
            self._steps[name] += 1
            adam_step(
                *(value, value.grad, self._moments[name], self._steps[name], self.rates[name]),
                *(self._betas, self._epsilon, None if skip is None else skip.get(name)),
            )

    def zero_grad(self) -> None:
        """Drops the gradients."""
        for value in self.values.values():
            value.grad = None

    def gather(self, src: Int[Tensor, " m"], axes: Mapping[str, int]) -> "Adam":
        """Returns the optimiser after a change of topology: rows `src` of values and moments.

        Args:
            src: The old row of each new row.
            axes: The axis of the rows in each tensor that has them; the others are kept.
        """

        def pick(name: str, x: Tensor) -> Tensor:
            return x.detach().index_select(axes[name], src) if name in axes else x.detach().clone()

        values = {name: pick(name, x).requires_grad_(x.requires_grad) for name, x in self.values.items()}
        new = Adam(values, self.rates, self._betas, self._epsilon)
        new._steps = dict(self._steps)
        new._moments = {name: (pick(name, a), pick(name, b)) for name, (a, b) in self._moments.items()}
        return new

    def state(self) -> dict[str, Tensor]:
        """Returns steps and moments as tensors by name (`first/means`, ...), to be saved; values are not among them."""
        out = {}
        for name, (first, second) in self._moments.items():
            out |= {f"first/{name}": first, f"second/{name}": second, f"step/{name}": torch.tensor(self._steps[name])}
        return out

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes over what `state` gave.

        Raises:
            AvatarError: If a tensor is missing or has another shape.
        """
        for name, (first, second) in self._moments.items():
            for key, moment in (("first", first), ("second", second)):
                saved = state.get(f"{key}/{name}")
                if saved is None or saved.shape != moment.shape:
                    raise AvatarError(f"optimiser state lacks '{key}/{name}' of shape {tuple(moment.shape)}")
                moment.copy_(saved)
            if f"step/{name}" not in state:
                raise AvatarError(f"optimiser state lacks 'step/{name}'")
            self._steps[name] = int(state[f"step/{name}"])


def _data(values: Mapping[str, Tensor]):
    for name, x in values.items():
        if not x.is_contiguous():
            raise AvatarError(f"Adam: '{name}' is not contiguous; give `.contiguous()`")
        yield name, x.detach()
