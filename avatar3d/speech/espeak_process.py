"""The process in which espeak-ng runs: requests as JSON lines come in, events and samples go out.

It is run as a file of its own by `espeak.py`, with the standard library alone. In a process of its own, because the
library keeps a state that no call resets: the second time, the same text sounds a little different.
Struct layouts and constants: espeak-ng's `speak_lib.h`, revision 12 of the API (1.52).
"""

import ctypes as c
import json
import sys

_SYNCHRONOUS, _PHONEME_EVENTS, _PHONEME_IPA, _DO_NOT_EXIT = 2, 1, 2, 0x8000
_END, _WORD, _PHONEME = 0, 1, 7
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8, _BY_CHARACTER = 1, 1


class _Id(c.Union):
    _fields_ = (("number", c.c_int), ("name", c.c_char_p), ("string", c.c_char * 8))


class _Event(c.Structure):
    _fields_ = (
        ("type", c.c_int),
        ("unique_identifier", c.c_uint),
        ("text_position", c.c_int),
        ("length", c.c_int),
        ("audio_position", c.c_int),
        ("sample", c.c_int),
        ("user_data", c.c_void_p),
        ("id", _Id),
    )


class _Voice(c.Structure):
    _fields_ = (
        ("name", c.c_char_p),
        ("languages", c.POINTER(c.c_char)),
        ("identifier", c.c_char_p),
        ("gender", c.c_ubyte),
        ("age", c.c_ubyte),
        ("variant", c.c_ubyte),
        ("reserved", c.c_ubyte),
        ("score", c.c_int),
        ("spare", c.c_void_p),
    )


_Callback = c.CFUNCTYPE(c.c_int, c.POINTER(c.c_short), c.c_int, c.POINTER(_Event))


class Library:
    """espeak-ng, ready to speak."""

    def __init__(self, path: str, data: str):
        self._c = c.CDLL(path)
        self._c.espeak_Initialize.argtypes = [c.c_int, c.c_int, c.c_char_p, c.c_int]
        self._c.espeak_Synth.argtypes = [
            *(c.c_char_p, c.c_size_t, c.c_uint, c.c_int, c.c_uint, c.c_uint),
            *(c.c_void_p, c.c_void_p),
        ]
        self._c.espeak_ListVoices.argtypes = [c.c_void_p]
        self._c.espeak_ListVoices.restype = c.POINTER(c.POINTER(_Voice))
        options = _PHONEME_EVENTS | _PHONEME_IPA | _DO_NOT_EXIT
        self.rate = self._c.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), options)
        if self.rate <= 0:
            raise OSError("it does not start")
        self._samples, self._events, self._words = bytearray(), [], []
        self._hear = _Callback(self._heard)  # kept: the library holds a pointer to it
        self._c.espeak_SetSynthCallback(self._hear)

    def voices(self) -> list[tuple[str, str, str]]:
        """Returns (language, name, file) of every voice, once for each language it says it speaks."""
        listed = self._c.espeak_ListVoices(None)
        found, at = [], 0
        while listed[at]:
            voice, at = listed[at].contents, at + 1
            file, name = voice.identifier.decode().split("/")[-1], voice.name.decode("utf-8", "replace").strip()
            address = c.addressof(voice.languages.contents)
            while c.string_at(address, 1) != b"\0":  # a byte of priority, then a language code, and so on
                code = c.string_at(address + 1)
                address += len(code) + 2
                found.append((code.decode("utf-8", "replace"), name, file))
        return found

    def say(self, text: str, voice: str, rate: int, pitch: int) -> tuple[dict, bytes]:
        """Returns what happened when, and the samples (int16)."""
        if not self._choose(voice):
            return {"unknown": voice}, b""
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, 50)):
            self._c.espeak_SetParameter(parameter, value, 0)
        self._samples, self._events, self._words = bytearray(), [], []
        encoded = text.replace("\0", " ").encode("utf-8", "replace")
        self._c.espeak_Synth(encoded, len(encoded) + 1, 0, _BY_CHARACTER, 0, _UTF8, None, None)
        self._c.espeak_Synchronize()
        return {"rate": self.rate, "events": self._events, "words": self._words}, bytes(self._samples)

    def _choose(self, voice: str) -> bool:
        if self._c.espeak_SetVoiceByName(voice.encode()) == 0:
            return True
        # A few voices answer to the name of their file only: "en-gb" is the file "en".
        language, plus, variant = voice.partition("+")
        file = next((file for code, _, file in self.voices() if code.lower() == language.lower()), None)
        return file is not None and self._c.espeak_SetVoiceByName(f"{file}{plus}{variant}".encode()) == 0

    def _heard(self, samples, count, listed):
        if samples and count > 0:
            self._samples += c.string_at(samples, 2 * count)
        at = 0
        while listed[at].type != _END:
            event, at = listed[at], at + 1
            if event.type == _WORD:
                self._words.append((event.sample, event.text_position - 1, event.length))
            elif event.type == _PHONEME:
                symbol = bytes(event.id)[:8].split(b"\0")[0]  # eight letters need no end
                self._events.append((event.sample, symbol.decode("utf-8", "ignore")))
        return 0


def _main() -> None:
    out = sys.stdout.buffer
    try:
        library = Library(sys.argv[1], sys.argv[2])
    except OSError as error:
        out.write(json.dumps({"failed": str(error)}).encode() + b"\n")
        return
    for line in sys.stdin.buffer:
        request = json.loads(line)
        answer, samples = ({"voices": library.voices()}, b"") if not request else library.say(**request)
        out.write(json.dumps(answer | {"bytes": len(samples)}).encode() + b"\n" + samples)
        out.flush()


if __name__ == "__main__":
    _main()
