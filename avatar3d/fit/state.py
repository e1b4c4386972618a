"""What a fit changes from step to step: parameters by name, their optimiser, and the file they resume from."""

import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from jaxtyping import Int
from safetensors import SafetensorError, safe_open
from torch import Tensor

from avatar3d.core import AvatarError, Basis, Gaussians, HeadModel
from avatar3d.files import write_bytes
from avatar3d.fit import corrections
from avatar3d.ops.optim import Adam

_VERSION = "3"
_HIDDEN = 64

# Learning rates. Lengths are in units of the triangle's size (about 5 mm on a face); the ratios between the groups are
# RGBAvatar's (config/offline.yaml), opacity is slower because the surface starts closed.
RATES = {
    "means": 1.5e-2,
    "quats": 5e-3,
    "log_scales": 2e-2,
    "logits": 5e-2,
    "sh": 1e-2,
    "basis.means": 2e-3,
    "basis.quats": 2.5e-3,
    "basis.sh": 3e-3,
    "network": 1e-3,
    "view": 0.06,
    "drift": 0.04,
}
CORRECTED = ("view", "drift")
"""Groups of the corrections of poses."""
FINAL = {"means": 0.05, "sh": 0.2}
"""Share of its rate that a group ends with; 0.1 where not named."""
_STEADY = ("network", *CORRECTED)
"""Groups whose rates no `pace` multiplies."""


@dataclass
class State:
    """Parameters and optimiser moments by name, and how many steps were done."""

    parameters: dict[str, Tensor]
    optimiser: Adam
    step: int = 0

    @property
    def gaussians(self) -> Gaussians:
        p = self.parameters
        return Gaussians(p["means"], p["quats"], p["log_scales"], p["logits"], p["sh"])

    @property
    def basis(self) -> Basis | None:
        p = self.parameters
        if "basis.means" not in p:
            return None
        network = tuple(p[f"network.{i}"] for i in range(4))
        return Basis(p["basis.means"], p["basis.quats"], p["basis.sh"], network)

    def advance(
        self, share: float, rows: Int[Tensor, " b"], held: frozenset[str] = frozenset(), pace: float = 1.0
    ) -> None:
        """Does one step of the optimiser with the rates of that moment.

        Args:
            share: Part of the fit that is done, in [0, 1].
            rows: Views of this step; the corrections of the others stand still.
            held: Groups that stand still.
            pace: Multiplies the rates of splats and their blendshapes.
        """
        skip = {}
        if "view" in self.parameters:
            skip = corrections.still(self.parameters, rows)
        for name in self.parameters:
            quick = 1.0 if _family(name) in _STEADY else pace
            self.optimiser.rates[name] = quick * _rate(name) * FINAL.get(name, 0.1) ** share
        self.optimiser.step([name for name in self.parameters if _family(name) in held], skip)
        self.optimiser.zero_grad()
        self.step += 1


def begin(
    gaussians: Gaussians, head: HeadModel, blendshapes: int, corrected: tuple[int, int] | None, seed: int
) -> State:
    """Returns the state before the first step.

    Args:
        gaussians: The first guess.
        head: Sizes the network's input.
        blendshapes: Splat blendshapes; they start at zero, the network at random.
        corrected: Number of moments whose pose is corrected, and of numbers in a correction; None to correct none.
        seed: Of the network.
    """
    values = {name: x.detach().clone() for name, x in vars(gaussians).items()}
    n, e, j = len(gaussians), len(head.expressions), len(head.joints)
    if blendshapes:
        generator = torch.Generator().manual_seed(seed)
        for name, width in (("means", 3), ("quats", 4), ("sh", 3)):
            values[f"basis.{name}"] = torch.zeros(blendshapes, n, width)
        inputs = e + 3 * j
        for i, (rows, columns) in enumerate(((_HIDDEN, inputs), (blendshapes, _HIDDEN))):
            values[f"network.{2 * i}"] = torch.randn(rows, columns, generator=generator) * (2 / columns) ** 0.5
            values[f"network.{2 * i + 1}"] = torch.zeros(rows)
    if corrected is not None:
        values |= corrections.begin(*corrected)
    for x in values.values():
        x.requires_grad_()
    return State(values, Adam(values, {name: _rate(name) for name in values}, betas=(0.9, 0.99)))


def _family(name: str) -> str:
    return name.split(".")[0]


def _rate(name: str) -> float:
    return RATES.get(name, RATES.get(_family(name), 0.0))


class StaleCheckpoint(AvatarError):
    """A checkpoint that the fit asked for cannot resume from."""


def save(state: State, path: Path, fingerprint: str) -> None:
    """Writes a checkpoint in one piece.

    Args:
        state: Parameters, moments, step.
        path: File to write.
        fingerprint: What the fit was asked to do; a checkpoint of another request is refused.
    """
    tensors = {f"value/{k}": v.detach().contiguous() for k, v in state.parameters.items()} | state.optimiser.state()
    about = {"kind": "checkpoint", "version": _VERSION, "step": str(state.step), "fingerprint": fingerprint}
    write_bytes(path, safetensors.torch.save(tensors, about))  # `save_file` would hide a full disk's error number


def resume(state: State, path: Path, fingerprint: str) -> None:
    """Puts a checkpoint's values into a fresh state.

    Raises:
        StaleCheckpoint: Not a checkpoint, or one of another fit.
    """
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise StaleCheckpoint(f"{path}: not a checkpoint of a fit ({error}); delete it to start anew") from error
    if about.get("kind") != "checkpoint" or about.get("version") != _VERSION:
        raise StaleCheckpoint(f"{path}: not a checkpoint of this version; delete it to start anew")
    if about.get("fingerprint") != fingerprint:
        raise StaleCheckpoint(f"{path}: a checkpoint of another clip or other options; delete it to start anew")
    with torch.no_grad():
        for name, x in state.parameters.items():
            saved = tensors.get(f"value/{name}")
            if saved is None or saved.shape != x.shape:
                raise StaleCheckpoint(
                    f"{path}: checkpoint lacks '{name}' of shape {tuple(x.shape)}; delete it to start anew"
                )
            x.copy_(saved)
    state.optimiser.load(tensors)
    state.step = int(about["step"])


def fingerprint(**parts: object) -> str:
    """Returns a text that tells one request for a fit from another."""
    return json.dumps(parts, sort_keys=True, default=str)
