"""How somebody looks when nothing happens in their face, found in their motion."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import Motion

_CALM = 0.1
"""Share of the frames, the calmest, whose mean is the neutral."""
_SPOKEN = ("jawOpen", "mouthLowerDown", "mouthUpperUp", "mouthFunnel", "mouthPucker", "mouthClose", "mouthShrug")
_SPOKEN_TOO = ("mouthRoll", "mouthPress", "tongueOut")
"""Expressions that speech uses. Someone who talks throughout is never calm in them: their neutral is a low quantile."""
_LOW = 0.1


@dataclass(frozen=True)
class Neutral:
    """How somebody looks when nothing happens in their face."""

    expression: Float[Tensor, " e"]
    joints: Float[Tensor, "j 3"]
    root: Float[Tensor, "4 4"]


def neutral_of(motion: Motion) -> Neutral:
    """Returns the mean of a motion's calmest frames: eyes open, mouth and brows at rest, as far as it has any.

    What speech moves is taken from the tenth of the frames that has the least of it: the lips meet in every clip.
    """
    expression = motion.pose.expression.double()
    face = torch.tensor([not n.startswith("eyeLook") for n in motion.names])
    # Closed lids count three times: a blink is no rest.
    weight = torch.tensor([3.0 if n.startswith("eyeBlink") else 1.0 for n in motion.names], dtype=torch.float64)
    typical = motion.pose.joints.double().median(0).values
    busy = (expression * weight)[:, face].sum(1) + (motion.pose.joints.double() - typical).norm(dim=-1).sum(1)
    calm = busy.sort(stable=True).indices[: max(1, round(_CALM * len(motion)))]
    pose = motion.pose[calm]
    middle = calm[int((pose.joints.double() - typical).flatten(1).norm(dim=1).argmin())]
    spoken = torch.tensor([n.startswith((*_SPOKEN, *_SPOKEN_TOO)) for n in motion.names])
    some = motion.pose.expression[:: 1 + len(motion) // 20_000]  # a quantile takes so many numbers, not more
    low = some.quantile(_LOW, dim=0)
    calmed = torch.where(spoken, torch.minimum(pose.expression.mean(0), low), pose.expression.mean(0))
    return Neutral(calmed, pose.joints.mean(0), motion.pose.root[middle])
