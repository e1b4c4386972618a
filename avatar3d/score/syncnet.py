"""LSE-C and LSE-D: how well a SyncNet that you have weights of believes that a video's mouth makes its sound.

Chung and Zisserman, "Out of time: automated lip sync in the wild" (2016): the network of the published `syncnet_v2`,
its windows (5 frames at 25 fps, 20 frames of 13 cepstra) and its statistic, the distance between the embeddings of
picture and sound, for sounds up to 15 frames earlier and later, meaned over time. LSE-D is the smallest of these
distances, LSE-C the median less it. The weights are not ours to give; they are read as safetensors, which cannot run
code.

Faces are cut out by landmarks here and by a face detector there, so that figures of the same video differ somewhat.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file
from scipy.fft import dct
from torch import Tensor, nn

from avatar3d.core import AvatarError, Frames
from avatar3d.speech.sound import Sound

FPS = 25.0
_SIDE, _FRAMES, _CEPSTRA = 224, 5, 20
_SHIFTS = 15
_MARGIN = 0.4
"""Share of half a face's side that the published cut adds around it (twice as much below)."""
_BATCH = 8
_CONVERT = (
    'python -c "import torch; from safetensors.torch import save_file; '
    "save_file(torch.load('syncnet_v2.model', weights_only=True), 'syncnet.safetensors')\""
)


class SyncNet(nn.Module):
    """Two towers that map a mouth and a sound to 1024 numbers each; names of the weights as published."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_flat(1, 64, (3, 3), padding=(1, 1)),
            nn.MaxPool2d((1, 1), (1, 1)),
            *_flat(64, 192, (3, 3), padding=(1, 1)),
            nn.MaxPool2d((3, 3), (1, 2)),
            *_flat(192, 384, (3, 3), padding=(1, 1)),
            *_flat(384, 256, (3, 3), padding=(1, 1)),
            *_flat(256, 256, (3, 3), padding=(1, 1)),
            nn.MaxPool2d((3, 3), (2, 2)),
            *_flat(256, 512, (5, 4)),
        )
        self.netcnnlip = nn.Sequential(
            *_deep(3, 96, (5, 7, 7), stride=(1, 2, 2)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(96, 256, (1, 5, 5), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_deep(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_deep(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_deep(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(256, 512, (1, 6, 6)),
        )
        self.netfcaud, self.netfclip = (
            nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024)) for _ in range(2)
        )

    def hear(self, cepstra: Float[Tensor, "b 1 13 20"]) -> Float[Tensor, "b 1024"]:
        """Returns embeddings of a fifth of a second of sound."""
        return self.netfcaud(self.netcnnaud(cepstra).flatten(1))

    def watch(self, mouths: Float[Tensor, "b 3 5 224 224"]) -> Float[Tensor, "b 1024"]:
        """Returns embeddings of five frames, BGR in 0 to 255."""
        return self.netfclip(self.netcnnlip(mouths).flatten(1))


def load_syncnet(path: Path | str) -> SyncNet:
    """Returns the network with weights from a .safetensors file.

    Raises:
        AvatarError: Another kind of file (the line says how to convert it), or not SyncNet's weights.
    """
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise AvatarError(f"{path}: weights are read as .safetensors only; convert them by {_CONVERT}")
    try:
        weights = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise AvatarError(f"{path}: not a safetensors file ({error}); convert the weights by {_CONVERT}") from error
    network = SyncNet()
    wanted = network.state_dict()
    for name, tensor in wanted.items():
        if name.endswith("num_batches_tracked"):
            weights.setdefault(name, tensor)
        elif name not in weights:
            raise AvatarError(f"{path}: '{name}' is missing; these are not the weights of SyncNet")
        elif weights[name].shape != tensor.shape:
            shapes = tuple(weights[name].shape), tuple(tensor.shape)
            raise AvatarError(f"{path}: '{name}' has shape {shapes[0]}, SyncNet's has {shapes[1]}")
    network.load_state_dict({name: weights[name].float() for name in wanted})
    return network.eval()


def sync_score(
    network: SyncNet, frames: Frames, landmarks: Float[np.ndarray, "t l 3"], sound: Sound
) -> dict[str, float]:
    """Returns `lse_c`, `lse_d` and `syncnet_offset_ms` (how much later the mouth is than the sound) of a video.

    Args:
        network: With weights.
        frames: At 25 a second.
        landmarks: Pixels in them; NaN where no face was found.
        sound: Of the same time.

    Raises:
        AvatarError: Less than a second of picture and sound, or no face.
    """
    heard = cepstra(sound.at(16000).mono)
    count = min(len(frames), len(heard) // 4) - _FRAMES
    if count < 2 * FPS // _FRAMES:
        raise AvatarError("score lips: SyncNet needs a second or more of picture and sound")
    boxes = _boxes(landmarks)
    faces = np.stack([_cut(frames[i], boxes[i]) for i in range(count + _FRAMES - 1)])
    pictures = torch.from_numpy(faces[..., ::-1].copy()).permute(3, 0, 1, 2)  # 3 t h w, BGR
    sounds = torch.from_numpy(heard.T.astype(np.float32))
    seen, said = [], []
    with torch.no_grad():
        for start in range(0, count, _BATCH):
            at = range(start, min(count, start + _BATCH))
            seen.append(network.watch(torch.stack([pictures[:, i : i + _FRAMES].float() for i in at])))
            said.append(network.hear(torch.stack([sounds[None, :, 4 * i : 4 * i + _CEPSTRA] for i in at])))
    return lse(torch.cat(seen), torch.cat(said))


def lse(seen: Float[Tensor, "t d"], said: Float[Tensor, "t d"]) -> dict[str, float]:
    """Returns `lse_c`, `lse_d` and `syncnet_offset_ms` of embeddings of picture and sound, 25 a second."""
    padded = torch.nn.functional.pad(said, (0, 0, _SHIFTS, _SHIFTS))
    shifts = range(2 * _SHIFTS + 1)
    # `pairwise_distance` adds 1e-6 to each difference, as the published evaluation does.
    distance = torch.stack(
        [torch.nn.functional.pairwise_distance(seen, padded[s : s + len(seen)]).mean() for s in shifts]
    )
    best = int(distance.argmin())
    return {
        "lse_c": float(distance.median() - distance[best]),
        "lse_d": float(distance[best]),
        "syncnet_offset_ms": 1000 / FPS * (_SHIFTS - best),
    }


def cepstra(mono: Float[np.ndarray, " a"]) -> Float[np.ndarray, "t 13"]:
    """Returns 13 cepstra of 25 ms every 10 ms at 16 kHz, as the package python_speech_features computes them.

    26 mel filters over 512 points, pre-emphasis .97, rectangular windows, lifter 22, the first replaced by log energy.

    Args:
        mono: Samples in [-1, 1]; scaled to 16-bit integers as the network was trained on.
    """
    signal = np.round(mono.astype(np.float64) * 32768)
    signal = np.append(signal[:1], signal[1:] - 0.97 * signal[:-1])
    count = 1 if len(signal) <= 400 else 1 + int(np.ceil((len(signal) - 400) / 160))
    signal = np.pad(signal, (0, max(0, (count - 1) * 160 + 400 - len(signal))))
    windows = np.lib.stride_tricks.sliding_window_view(signal, 400)[::160][:count]
    power = np.abs(np.fft.rfft(windows, 512)) ** 2 / 512
    tiny = np.finfo(float).eps
    energy = np.maximum(power.sum(1), tiny)
    bands = np.log(np.maximum(power @ _filters().T, tiny))
    out = np.asarray(dct(bands, type=2, axis=1, norm="ortho"))[:, :13]
    out *= 1 + 11 * np.sin(np.pi * np.arange(13) / 22)
    out[:, 0] = np.log(energy)
    return out


def _filters() -> Float[np.ndarray, "26 257"]:
    mels = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28)
    bins = np.floor(513 * 700 * (10 ** (mels / 2595) - 1) / 16000)
    filters = np.zeros((26, 257))
    for j, (low, middle, high) in enumerate(zip(bins[:-2], bins[1:-1], bins[2:], strict=True)):
        for i in range(int(low), int(middle)):
            filters[j, i] = (i - low) / (middle - low)
        for i in range(int(middle), int(high)):
            filters[j, i] = (high - i) / (high - middle)
    return filters


def _boxes(landmarks: Float[np.ndarray, "t l 3"]) -> Float[np.ndarray, "t 3"]:
    """Returns (x, y, half side) of the face in each frame, steadied over 13 frames as the published cut is."""
    points = landmarks[..., :2]
    seen = np.asarray(np.isfinite(points).all((1, 2)))
    if not seen.any():
        raise AvatarError("score lips: no frame shows a face")
    low, high = points[seen].min(1), points[seen].max(1)
    found = np.concatenate([(low + high) / 2, ((high - low).max(1) / 2)[:, None]], 1)
    whole = np.stack([np.interp(np.arange(len(seen)), np.flatnonzero(seen), column) for column in found.T], 1)
    padded = np.pad(whole, ((6, 6), (0, 0)), mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 13, axis=0), axis=-1)


def _cut(image: UInt8[np.ndarray, "h w 3"], box: Float[np.ndarray, " 3"]) -> UInt8[np.ndarray, "224 224 3"]:
    x, y, half = (float(v) for v in box)
    room = int(half * (1 + 2 * _MARGIN))
    padded = cv2.copyMakeBorder(image, room, room, room, room, cv2.BORDER_CONSTANT, value=(110, 110, 110))
    top, left = y + room, x + room
    rows = slice(int(top - half), int(top + half * (1 + 2 * _MARGIN)))
    columns = slice(int(left - half * (1 + _MARGIN)), int(left + half * (1 + _MARGIN)))
    return np.asarray(cv2.resize(padded[rows, columns], (_SIDE, _SIDE)), dtype=np.uint8)


def _flat(inputs: int, outputs: int, size: tuple[int, int], padding: tuple[int, int] = (0, 0)) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, size, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU()]


def _deep(
    inputs: int,
    outputs: int,
    size: tuple[int, int, int],
    stride: tuple[int, int, int] = (1, 1, 1),
    padding: tuple[int, int, int] = (0, 0, 0),
) -> list[nn.Module]:
    return [nn.Conv3d(inputs, outputs, size, stride, padding), nn.BatchNorm3d(outputs), nn.ReLU()]
