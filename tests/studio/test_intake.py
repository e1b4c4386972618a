"""Files that people bring."""

import pytest

from avatar3d.core import AvatarError
from avatar3d.heads import ARKIT
from avatar3d.studio.door import allowed
from avatar3d.studio.intake import Inbox, kind_of, plain_name
from avatar3d.studio.presets import PRESETS, fits, grouped


def test_kinds_by_ending() -> None:
    kinds = {
        "a.A3D": "avatar",
        "b.PNG": "picture",
        "c.mov": "video",
        "d.wav": "sound",
        "e.csv": "motion",
        "f.zip": "avatar",
    }
    for name, kind in kinds.items():
        assert kind_of(name) == kind
    for name in ("script.py", "noending", "page.html"):
        with pytest.raises(AvatarError, match=name):
            kind_of(name)


def test_names_lead_nowhere_else() -> None:
    for name in ("../../etc/passwd.a3d", "C:\\x\\passwd.a3d", "/passwd.a3d"):
        assert plain_name(name) == "passwd.a3d"
    assert plain_name(" my head ", ".a3d") == "my_head.a3d"
    assert plain_name(".hidden.a3d") == "hidden.a3d"
    for name in ("", "..", "///", "..."):
        with pytest.raises(AvatarError, match="name"):
            plain_name(name)


def test_the_inbox_keeps_files_apart_and_goes() -> None:
    inbox = Inbox()
    first, second = inbox.put("a.wav", b"1"), inbox.put("../a.wav", b"2")
    assert first.path != second.path and first.path.read_bytes() == b"1"
    assert inbox.path in second.path.parents
    with pytest.raises(AvatarError, match="empty"):
        inbox.put("b.wav", b"")
    inbox.close()
    assert not inbox.path.exists()


def test_who_may_ask() -> None:
    here = {"Host": "127.0.0.1:8000", "Origin": None}
    assert allowed(here, True) and allowed({**here, "Host": "localhost"}, True) and allowed({"Host": "[::1]:80"}, True)
    for host in ("evil.example", "127.0.0.1.evil.example:8000", "", None, "localhost.evil:1", "[::2]"):
        assert not allowed({"Host": host, "Origin": None}, True), host
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8000.evil.example"):
        assert not allowed({**here, "Origin": origin}, True), origin
    assert allowed({**here, "Origin": "http://127.0.0.1:8000"}, True)
    # asked to serve others: any name of this computer, but still no other site's page
    assert allowed({"Host": "studio.lan:80", "Origin": "http://studio.lan:80"}, False)
    assert not allowed({"Host": "studio.lan:80", "Origin": "http://evil.example"}, False)


def test_presets_and_groups_name_expressions_that_there_are() -> None:
    for values in PRESETS.values():
        assert set(values) <= set(ARKIT) and all(0 < v <= 1 for v in values.values())
    groups = grouped(ARKIT)
    assert sorted(n for names in groups.values() for n in names) == list(ARKIT)
    assert fits("mouthSmileLeft", "smile left") and fits("mouthSmileLeft", "SMILE") and not fits("jawOpen", "smile")
