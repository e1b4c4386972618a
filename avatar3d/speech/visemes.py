"""Phones of any language, and the 15 Oculus visemes they show.

One inventory of IPA symbols serves every provider; ARPAbet, X-SAMPA and the IPA of espeak-ng and of Montreal Forced
Aligner are read into it.
"""

import unicodedata
from collections.abc import Iterable

from avatar3d.core import AvatarError

VISEMES: tuple[str, ...] = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")
"""The Oculus (Meta) set, in its usual order."""
SILENCE = "sil"

_BY_VISEME: dict[str, str] = {
    "PP": "p b m ɓ ɸ β",
    "FF": "f v ʋ ɱ",
    "TH": "θ ð",
    "DD": "t d l ɫ ɾ ʈ ɖ ɭ ʎ ɬ ɮ ɗ ɺ",
    "kk": "k ɡ c ɟ q ɢ x ɣ χ ɰ h ɦ ħ ʕ ʔ ç ɠ",
    "CH": "ʃ ʒ ɕ ʑ ʂ ʐ tʃ dʒ tɕ dʑ tʂ dʐ",
    "SS": "s z ts dz",
    "nn": "n ɲ ŋ ɳ ɴ",
    "RR": "ɹ r ɻ ʀ ʁ ɽ ɜ ɝ ɚ",
    "aa": "a ɑ æ ʌ ɐ ɶ",
    "E": "ə ɛ e ɪ ɘ ᵻ",
    "I": "i ɨ j ʝ",
    "O": "ø œ ɔ o ɒ ɤ ɵ ɞ",
    "U": "u ʊ y ʏ ʉ ɯ w ʍ ɥ",
}


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in text.split())


_VISEME: dict[str, str] = {phone: viseme for viseme, phones in _BY_VISEME.items() for phone in _names(phones)}
_DIPHTHONGS = ("aɪ", "aʊ", "eɪ", "oʊ", "əʊ", "ɔɪ")

PHONES: tuple[str, ...] = (SILENCE, *_VISEME, *_DIPHTHONGS)
"""The inventory: every `PhoneTrack` uses these symbols and no others."""
VOWELS = frozenset((*_names("ɜ ɝ ɚ a ɑ æ ʌ ɐ ɶ ə ɛ e ɪ ɘ ᵻ i ɨ ø œ ɔ o ɒ ɤ ɵ ɞ u ʊ y ʏ ʉ ɯ"), *_DIPHTHONGS))
BILABIALS = frozenset(_names("p b m ɓ"))
"""Phones whose lips touch. (ɸ and β look alike but leave a slit.)"""
LABIODENTALS = frozenset(_names("f v ɱ ʋ"))
STOPS = frozenset(_names("p b t d ʈ ɖ k ɡ c ɟ q ɢ tʃ dʒ tɕ dʑ tʂ dʐ ts dz"))

_ARPABET = _pairs(
    """
    AA:ɑ AE:æ AH:ʌ AX:ə AO:ɔ AW:aʊ AY:aɪ EH:ɛ ER:ɝ EY:eɪ IH:ɪ IY:i OW:oʊ OY:ɔɪ UH:ʊ UW:u B:b CH:tʃ D:d DH:ð DX:ɾ F:f
    G:ɡ HH:h JH:dʒ K:k L:l M:m N:n NG:ŋ P:p R:ɹ S:s SH:ʃ T:t TH:θ V:v W:w Y:j Z:z ZH:ʒ AXR:ɚ IX:ɨ UX:ʉ AX-H:ə HV:ɦ Q:ʔ
    EL:l EM:m EN:n ENG:ŋ NX:n WH:ʍ BCL:b PCL:p DCL:d TCL:t GCL:ɡ KCL:k"""
)
"""CMU's and TIMIT's symbols. AH without stress is a schwa (`_arpabet`)."""
_XSAMPA = _pairs(
    """
    p:p b:b m:m F:ɱ f:f v:v T:θ D:ð t:t d:d n:n r:r 4:ɾ s:s z:z S:ʃ Z:ʒ l:l K:ɬ L:ʎ J:ɲ k:k g:ɡ N:ŋ c:c q:q G:ɣ x:x X:χ
    R:ʁ h:h H:ɥ j:j w:w W:ʍ C:ç B:β i:i I:ɪ e:e E:ɛ a:a A:ɑ V:ʌ O:ɔ o:o U:ʊ u:u y:y Y:ʏ 2:ø 9:œ 3:ɜ 6:ɐ 7:ɤ 8:ɵ @:ə {:æ
    }:ʉ 1:ɨ M:ɯ Q:ɒ &:ɶ ?:ʔ P:ʋ"""
)
_XSAMPA_LONG = _pairs(
    r"""
    s\:ɕ z\:ʑ r\:ɹ r\`:ɻ R\:ʀ p\:ɸ h\:ɦ N\:ɴ K\:ɮ M\:ɰ v\:ʋ j\:ʝ I\:ᵻ @\:ɘ @`:ɚ 3`:ɝ 3\:ɞ
    s`:ʂ z`:ʐ t`:ʈ d`:ɖ n`:ɳ l`:ɭ r`:ɽ"""
)
_SILENT = frozenset(
    _names(
        """sil sp spn spl pau pause breath <sil> <s> </s> <p:> [noise] [speech] +spn+ +nsn+ ++spn++ ++nsn++ h# # _ epi
        laugh <unk> xxx"""
    )
)
_ALIASES = {
    "g": "ɡ",
    "ʧ": "tʃ",
    "ʤ": "dʒ",
    "ʦ": "ts",
    "ʣ": "dz",
    "ʨ": "tɕ",
    "ʥ": "dʑ",
    "ǝ": "ə",
    "ε": "ɛ",
    "Φ": "ɸ",
    "ⱱ": "v",
}
_MARKS = frozenset("ᵝˈˌːˑʰʲʷˠˤʱˀ':.-|‿͜͡˞ˇ!?*,̃;ⁿˡ")
_MARKS |= frozenset("˥˦˧˨˩¹²³⁴⁵⁶↓↑0123456789")
_IPA_LONGEST_FIRST = sorted((p for p in PHONES if p != SILENCE), key=len, reverse=True)


def viseme_parts(phone: str) -> tuple[str, ...]:
    """Returns the visemes that a phone of the inventory shows, in time order: two for a diphthong, else one.

    >>> viseme_parts("aɪ"), viseme_parts("m")
    (('aa', 'I'), ('PP',))

    Raises:
        AvatarError: `phone` is not in `PHONES`.
    """
    if phone == SILENCE:
        return (SILENCE,)
    if phone in _VISEME:
        return (_VISEME[phone],)
    if phone in _DIPHTHONGS:
        return tuple("I" if part == "ɪ" else _VISEME[part] for part in phone)  # a glide towards ɪ ends wider than ɪ
    raise AvatarError(f"'{phone}' is not in the phone inventory; spell it with `read_label` first")


def stress(label: str) -> float:
    """Returns how strongly a label says it is spoken: 1.2 with primary stress, 1.1 secondary, .85 for an ARPAbet vowel
    marked unstressed, else 1."""
    if "ˈ" in label or (label[-1:] == "1" and label[:-1].isalpha() and label.isascii()):
        return 1.2
    if "ˌ" in label or (label[-1:] == "2" and label[:-1].isalpha() and label.isascii()):
        return 1.1
    return 0.85 if label[-1:] == "0" and label[:-1].isalpha() and label.isascii() else 1.0


def _arpabet(label: str) -> tuple[str, ...] | None:
    name = label.upper()
    if name == "AH0":
        return ("ə",)
    found = _ARPABET.get(name.rstrip("012"))
    return (found,) if found else None


def _ipa(label: str) -> tuple[str, ...] | None:
    """Splits IPA text into phones of the inventory; combining marks, length, tone and stress are dropped."""
    plain = "".join(
        _ALIASES.get(c, c)
        for c in unicodedata.normalize("NFD", label).replace("c\u0327", "ç")
        if c not in _MARKS and not unicodedata.combining(c)
    )
    found, at = [], 0
    while at < len(plain):
        phone = next((p for p in _IPA_LONGEST_FIRST if plain.startswith(p, at)), None)
        if phone is None:
            return None
        found.append(phone)
        at += len(phone)
    return tuple(found)


def _xsampa(label: str) -> tuple[str, ...] | None:
    text = "".join(c for c in label.replace("_h", "").replace("_>", "").replace("_j", "") if c not in '":%=~_')
    found, at = "", 0
    while at < len(text):
        two = text[at : at + 2]
        if two in _XSAMPA_LONG:
            found, at = found + _XSAMPA_LONG[two], at + 2
        elif text[at] in _XSAMPA:
            found, at = found + _XSAMPA[text[at]], at + 1
        else:
            return None
    return _ipa(found)


_READERS = {"arpabet": _arpabet, "ipa": _ipa, "x-sampa": _xsampa}
NOTATIONS: tuple[str, ...] = tuple(_READERS)


def is_silent(label: str) -> bool:
    """Whether a label of an annotation means silence, noise or nothing."""
    return not label.strip() or label.strip().lower() in _SILENT


def read_label(label: str, notation: str) -> tuple[str, ...]:
    """Returns the phones of the inventory that one label stands for: `("sil",)` for a pause, several for a cluster.

    Args:
        label: One symbol of an annotation.
        notation: One of `NOTATIONS`.

    Raises:
        AvatarError: The label cannot be read in that notation.
    """
    if is_silent(label):
        return (SILENCE,)
    found = _READERS[notation](label.strip())
    if not found:
        raise AvatarError(f"label '{label}' is no {notation} phone")
    return found


def notation_of(labels: Iterable[str]) -> str:
    """Returns the notation that explains all labels: ARPAbet if it can be that, else IPA, else X-SAMPA.

    Raises:
        AvatarError: No notation reads all of them; names the first label that none of the best one's readers knows.
    """
    wanted = [label for label in dict.fromkeys(labels) if not is_silent(label)]
    unread = {name: [x for x in wanted if not reader(x.strip())] for name, reader in _READERS.items()}
    best = min(unread, key=lambda name: len(unread[name]))
    if unread[best]:
        raise AvatarError(
            f"label '{unread[best][0]}' is no phone of ARPAbet, IPA or X-SAMPA; correct it or mark it as 'sil'"
        )
    return best
