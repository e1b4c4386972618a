"""Phones of any language as the English units of the acoustic model that sound most like them."""

from avatar3d.core import AvatarError
from avatar3d.speech.visemes import PHONES, SILENCE

_LIKE = {
    "p": "P", "b": "B", "m": "M", "ɓ": "B", "ɸ": "F", "β": "B V", "f": "F", "v": "V", "ʋ": "V W", "ɱ": "M", "θ": "TH",
    "ð": "DH D", "t": "T", "d": "D", "l": "L", "ɫ": "L", "ɾ": "D R L", "ʈ": "T", "ɖ": "D", "ɭ": "L", "ʎ": "L Y",
    "ɬ": "L SH", "ɮ": "L ZH", "ɗ": "D", "ɺ": "L R", "k": "K", "ɡ": "G", "ɠ": "G", "c": "K CH", "ɟ": "G JH", "q": "K",
    "ɢ": "G", "x": "HH K", "ɣ": "G HH", "χ": "HH K", "ɰ": "W G", "h": "HH", "ɦ": "HH", "ħ": "HH", "ʕ": "AH", "ʔ": "T",
    "ç": "SH HH", "ʃ": "SH", "ʒ": "ZH SH", "ɕ": "SH", "ʑ": "ZH", "ʂ": "SH", "ʐ": "ZH R", "tʃ": "CH", "dʒ": "JH",
    "tɕ": "CH", "dʑ": "JH", "tʂ": "CH", "dʐ": "JH", "s": "S", "z": "Z S", "ts": "S Z T", "dz": "Z", "n": "N",
    "ɲ": "N Y", "ŋ": "NG", "ɳ": "N", "ɴ": "NG", "ɹ": "R", "r": "R D L", "ɻ": "R", "ʀ": "R HH", "ʁ": "R HH",
    "ɽ": "R D", "j": "Y", "ʝ": "Y", "w": "W", "ʍ": "W", "ɥ": "Y W", "ɜ": "ER", "ɝ": "ER", "ɚ": "ER", "a": "AA AE AH",
    "ɑ": "AA", "æ": "AE", "ʌ": "AH", "ɐ": "AH AA", "ɶ": "AE AA", "ə": "AH IH", "ɛ": "EH", "e": "EY EH", "ɪ": "IH",
    "ɘ": "IH AH", "ᵻ": "IH", "i": "IY", "ɨ": "IH", "ø": "ER UH EY", "œ": "ER AH", "ɔ": "AO", "o": "OW AO",
    "ɒ": "AA AO", "ɤ": "AH", "ɵ": "UH", "ɞ": "ER", "u": "UW", "ʊ": "UH UW", "y": "UW IY", "ʏ": "UH IH", "ʉ": "UW",
    "ɯ": "UW UH", "aɪ": "AY", "aʊ": "AW", "eɪ": "EY", "oʊ": "OW", "əʊ": "OW", "ɔɪ": "OY",
}  # fmt: skip


def units_like(phone: str) -> tuple[str, ...]:
    """Returns the units (ARPAbet) that may stand for a phone of the inventory, the most alike first.

    >>> units_like("r")
    ('R', 'D', 'L')

    Raises:
        AvatarError: `phone` is not in the inventory.
    """
    if phone == SILENCE:
        return ("SIL",)
    if phone not in _LIKE:
        raise AvatarError(f"'{phone}' is not in the phone inventory ({len(PHONES)} symbols)")
    return tuple(_LIKE[phone].split())
