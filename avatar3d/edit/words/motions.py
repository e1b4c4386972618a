"""Phrases of motion: opening and closing, winking, and where head and eyes turn."""

_HEAD = {"turn", "rotate", "swivel", "face", "facing", "turned", "twist", "head", "spin"}
_GAZE = {"look", "gaze", "glance", "stare", "looking", "gazing", "eyes", "peek", "eye"}
_TILT = {"tilt", "lean", "tilted", "cock", "roll", "incline"}
_UP = {"up", "upward", "upwards", "ceiling"}
_DOWN = {"down", "downward", "downwards", "floor"}
_OPEN = {"open", "opened", "opens", "part", "parted", "dropped", "agape", "gaping"}
_SHUT = {"close", "closed", "shut", "closes", "closing"}
_RAISE = {"raise", "raised", "lift", "lifted", "arch", "cock"}
_LOWER = {"lower", "lowered", "drop", "bow", "sink"}


def motion(words: list[str], parts: list[str], side: str, flip: int, looks: bool) -> tuple[str, int] | None:
    """Returns operation and direction of a phrase of motion, or None.

    Args:
        words: Of the clause.
        parts: Of the head that it names.
        side: "left" or "right" of the person, or nothing.
        flip: -1 after "don't" and its like.
        looks: Whether the clause says how something looks ("the right eye blue"); then an eye does not turn.
    """
    said = set(words) - ({"eye", "eyes"} if looks else set())
    for rule in (_mouth_and_eyes, _brows_and_others, _directions):
        found = rule(said, parts, side)
        if found is not None:
            return found[0], found[1] * flip
    return None


def _mouth_and_eyes(said: set[str], parts: list[str], side: str) -> tuple[str, int] | None:
    mouth = "mouth" in parts or "lips" in parts or "jaw" in parts
    if "both" in said and said & {"wink", "blink"}:
        return ("eyes_closed", 1)
    if "wink" in said or "winking" in said or ("eyes" in parts and side and said & _SHUT):
        return (f"wink_{side or 'left'}", 1)
    if "blink" in said and side:
        return (f"wink_{side}", 1)
    if mouth and said & {"pressed", "press", "tight"}:
        return ("lips_press", 1)
    if mouth and (said & _OPEN):
        return ("mouth_open", 1)
    if mouth and said & _SHUT:
        return ("mouth_open", -1)
    if ("eyes" in parts or "lids" in parts) and said & {"wide", "widely"} and said & {"open", "opened"}:
        return ("eyes_wide", 1)
    if ("eyes" in parts or "lids" in parts) and "together" not in said and not said & {"set", "close-set"}:
        if said & _SHUT:
            return ("eyes_closed", 1)
        if said & _OPEN:
            return ("eyes_closed", -1)
    return None


def _brows_and_others(said: set[str], parts: list[str], side: str) -> tuple[str, int] | None:
    if "brows" in parts and said & _RAISE:
        return (f"brow_raise_{side}" if side else "brow_raise", 1)
    if "brows" in parts and said & {"knit", "furrow", "furrowed", "knitted", "lower", "contract"}:
        return ("brow_lower", 1)
    if "cheeks" in parts and said & {"puff", "blow", "inflate", "puffed"}:
        return ("cheek_puff", 1)
    if "tongue" in said:
        return ("tongue", -1 if "in" in said else 1)
    if ("lips" in parts or "mouth" in parts) and said & {"purse", "pucker", "kiss", "pursed", "puckered"}:
        return ("pucker", 1)
    if "nose" in parts and said & {"wrinkle", "scrunch", "wrinkled", "crinkle"}:
        return ("sneer", 1)
    if "mouth_corners" in parts and said & {"down", "pull"}:
        return ("mouth_corners_down", 1)
    return None


def _directions(said: set[str], parts: list[str], side: str) -> tuple[str, int] | None:
    """Returns where head or eyes go. Left and right are the person's."""
    others = [p for p in parts if p not in ("head", "eyes", "face", "chin")]
    if others:
        return None
    way = "yaw" if side else "pitch" if said & (_UP | _DOWN) else ""
    if "nod" in said:
        return ("head_pitch", -1 if said & _UP else 1)
    if "head" in parts and said & _LOWER:
        return ("head_pitch", 1)
    if ("head" in parts or "chin" in parts) and said & (_RAISE - {"cock"}):
        return ("head_pitch", -1)
    if not way:
        return None
    if said & _TILT and way == "yaw":
        return ("head_roll", 1 if side == "right" else -1)
    positive = side == "left" if way == "yaw" else bool(said & _DOWN)
    if said & _GAZE and not (said & {"turn", "rotate", "tilt"} and "head" in parts):
        return (f"gaze_{way}", 1 if positive else -1)
    if said & (_HEAD | _TILT):
        return (f"head_{way}", 1 if positive else -1)
    return None
