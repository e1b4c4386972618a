"""Plug-in extractors: other people's speech features beside ours, when their weights are at hand.

An extractor is a function of a mono sound and its rate that returns values and their frames a second. `EXTRACTORS`
holds those that have a name; `extractor("wav2vec", "/path/to/model")` loads one. None downloads anything.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from avatar3d.core import AvatarError, first_of
from avatar3d.speech.sound import RATE, resample

Extractor = Callable[[np.ndarray, int], tuple[np.ndarray, float]]
"""(mono sound, samples a second) -> (values t d, frames a second); value i stands at the time i / frames a second."""


def phones(weights: Path | None) -> Extractor:
    """Returns the extractor of our own phone posteriors (`avatar3d.speech.listen`); it needs no weights of yours."""
    if weights is not None:
        raise AvatarError(f"{weights}: the phones extractor brings its own weights; leave the path out")

    def run(mono: np.ndarray, rate: int) -> tuple[np.ndarray, float]:
        from avatar3d.speech.listen import listen
        from avatar3d.speech.sound import Sound

        heard = listen(Sound(mono[None], rate))
        assert heard.posteriors is not None
        return heard.posteriors, heard.rate

    return run


def transformers(weights: Path | None) -> Extractor:
    """Returns the last hidden layer of a wav2vec 2.0, HuBERT or WavLM model in a folder as `transformers` saves it."""
    if weights is None or not (weights / "config.json").is_file():
        raise AvatarError(
            f"{weights or 'no path'}: give the folder of a wav2vec2 or HuBERT model that you have (config.json and "
            "model.safetensors, as transformers' save_pretrained writes them); nothing is downloaded"
        )
    try:
        import torch
        from transformers import AutoModel  # type: ignore[import-not-found]
    except ImportError as error:
        raise AvatarError("wav2vec and HuBERT features need transformers: pip install transformers") from error
    try:
        model = AutoModel.from_pretrained(str(weights), local_files_only=True, use_safetensors=True).eval()
    except (OSError, ValueError, KeyError) as error:
        raise AvatarError(f"{weights}: transformers cannot load this model ({str(error).splitlines()[0]})") from error

    def run(mono: np.ndarray, rate: int) -> tuple[np.ndarray, float]:
        sound = resample(mono, rate, RATE)
        normal = (sound - sound.mean()) / (sound.std() + 1e-7)
        with torch.no_grad():
            hidden = model(torch.from_numpy(normal)[None]).last_hidden_state[0].numpy()
        return hidden, 50.0

    return run


EXTRACTORS: dict[str, Callable[[Path | None], Extractor]] = {
    "phones": phones,
    "wav2vec": transformers,
    "hubert": transformers,
}


def extractor(name: str, weights: Path | str | None = None) -> Extractor:
    """Returns an extractor by name.

    Args:
        name: A key of `EXTRACTORS`.
        weights: Its model, for those that need one.

    Raises:
        AvatarError: No such name, weights missing or not readable, or a package missing.
    """
    first_of(tuple(EXTRACTORS), name)
    return EXTRACTORS[name](Path(weights) if weights is not None else None)


def extracted(name: str, run: Extractor, mono: np.ndarray, times: np.ndarray) -> Float[np.ndarray, "t d"]:
    """Returns an extractor's values at `times` (seconds), linearly between its frames.

    Raises:
        AvatarError: The extractor gives something else than finite frames of numbers.
    """
    if not callable(run):
        raise AvatarError(f"extractor '{name}': give a function of (sound, rate), not {type(run).__name__}")
    values, fps = run(mono, RATE)
    values = np.asarray(values, np.float32)
    if values.ndim != 2 or not len(values) or not np.isfinite(values).all() or not fps > 0:
        raise AvatarError(f"extractor '{name}': gave {values.shape} at {fps} frames a second; finite (t, d) is needed")
    at = np.clip(np.asarray(times) * fps, 0, len(values) - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    part = (at - low).astype(np.float32)[:, None]
    return values[low] * (1 - part) + values[high] * part
