"""`avatar3d view`: one page, for this computer."""

import http.client
import urllib.error
import urllib.request

import pytest

from avatar3d import store
from avatar3d.core import AvatarError
from avatar3d.viewer import player_page, serve


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_a_page_is_served_and_nothing_else(doll, tmp_path) -> None:
    store.save(doll, tmp_path / "doll.a3d")
    page = player_page(tmp_path / "doll.a3d")
    served = serve(page)
    try:
        assert served.url.startswith("http://127.0.0.1:")
        assert get(served.url) == (200, page)
        assert get(served.url + "etc/passwd")[0] == 404
        assert get(served.url, Host="evil.example")[0] == 403
        for _ in range(60):  # a burst
            assert get(served.url + "?x")[0] == 200
    finally:
        served.close()
    with pytest.raises((urllib.error.URLError, http.client.HTTPException, OSError)):
        get(served.url)


def test_a_made_page_is_served_as_it_is(doll, tmp_path) -> None:
    from avatar3d.export import export

    export(doll, tmp_path / "doll.html")
    assert player_page(tmp_path / "doll.html") == (tmp_path / "doll.html").read_text()


def test_what_cannot_be_shown_is_said(tmp_path) -> None:
    (tmp_path / "other.html").write_text("<p>hello")
    for name in ("other.html", "none.a3d"):
        with pytest.raises(AvatarError, match=name):
            player_page(tmp_path / name)


def test_a_taken_port_is_said() -> None:
    served = serve("x")
    try:
        with pytest.raises(AvatarError, match="--port"):
            serve("x", port=int(served.url.rsplit(":", 1)[1].strip("/")))
    finally:
        served.close()
    with pytest.raises(AvatarError, match="65535"):
        serve("x", port=70000)
