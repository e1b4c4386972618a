"""Sentences as vectors: all-MiniLM-L6-v2, a BERT of six layers (Wang et al., 2020), in plain PyTorch."""

import functools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from avatar3d import assets

_LAYERS, _HEADS, _WIDTH = 6, 12, 384
_LONGEST = 128  # word pieces
_EPSILON = 1e-12


@dataclass(frozen=True)
class Vocabulary:
    """WordPiece (Schuster and Nakajima, 2012) as BERT has it, lower case."""

    index: dict[str, int]

    def pieces(self, text: str) -> list[int]:
        """Returns the word pieces of a text between [CLS] and [SEP]."""
        out = [self.index["[CLS]"]]
        for word in _words(text):
            out += self._split(word)
        return [*out[: _LONGEST - 1], self.index["[SEP]"]]

    def _split(self, word: str) -> list[int]:
        """Returns a word as the longest known beginnings, or as unknown."""
        out, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:end]
                if piece in self.index:
                    out.append(self.index[piece])
                    start = end
                    break
            else:
                return [self.index["[UNK]"]]
        return out


def _words(text: str) -> list[str]:
    """Returns words and single punctuation marks, without accents, in lower case."""
    plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    spaced = "".join(c if c.isalnum() or c.isspace() else f" {c} " for c in plain)
    return spaced.split()


@functools.cache
def _weights() -> dict[str, Tensor]:
    return {k: v.float() for k, v in load_file(assets.path("minilm")).items() if v.is_floating_point()}


@functools.cache
def vocabulary() -> Vocabulary:
    """Returns the word pieces; fetched once with the network.

    Raises:
        AvatarError: They cannot be had; says what to do.
    """
    lines = assets.path("minilm-vocabulary").read_text(encoding="utf-8").splitlines()
    return Vocabulary({piece: i for i, piece in enumerate(lines)})


def encode(texts: Sequence[str]) -> Float[Tensor, "n 384"]:
    """Returns unit vectors whose dot products say how near texts are in meaning, one text at a time.

    Raises:
        AvatarError: The network cannot be had; says what to do.
    """
    with torch.no_grad():
        return torch.stack([_encoded(text) for text in texts])


def _encoded(text: str) -> Float[Tensor, " c"]:
    w, ids = _weights(), vocabulary().pieces(text)
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = _normal(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for i in range(_LAYERS):
        x = _layer(x, f"encoder.layer.{i}.")
    return functional.normalize(x.mean(0), dim=0)


def _layer(x: Tensor, name: str) -> Tensor:
    query, key, value = (
        _linear(x, f"{name}attention.self.{part}").unflatten(-1, (_HEADS, -1)).transpose(0, 1)
        for part in ("query", "key", "value")
    )
    share = torch.softmax(query @ key.mT / (_WIDTH // _HEADS) ** 0.5, -1)
    seen = (share @ value).transpose(0, 1).flatten(1)
    x = _normal(x + _linear(seen, f"{name}attention.output.dense"), f"{name}attention.output.LayerNorm")
    wide = functional.gelu(_linear(x, f"{name}intermediate.dense"))
    return _normal(x + _linear(wide, f"{name}output.dense"), f"{name}output.LayerNorm")


def _linear(x: Tensor, name: str) -> Tensor:
    return functional.linear(x, _weights()[f"{name}.weight"], _weights()[f"{name}.bias"])


def _normal(x: Tensor, name: str) -> Tensor:
    return functional.layer_norm(x, (_WIDTH,), _weights()[f"{name}.weight"], _weights()[f"{name}.bias"], _EPSILON)
