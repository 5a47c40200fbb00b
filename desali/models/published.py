"""Weights that torchvision and timm publish, by name: from the caches that these packages fill, or fetched when asked.

What decides is the file's digest. A file whose name holds the first digits of its SHA-256, as torch's hub names them
(`resnet18-f37072fd.pth`), or whose blob in the Hugging Face cache is named by it, is checked whenever it is read.
Nothing is fetched that such a digest does not pin.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from desali.errors import UnknownNameError, WeightsError
from desali.models.foreign import IMAGENET, blueprint, package
from desali.output.files import atomic_path

_HASHED = re.compile(r"-([0-9a-f]{8,64})\.[A-Za-z]+$")
_BLOB = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20
NAMED = 3
"""Entries that a message offers."""
TIMEOUT = 60
"""Seconds that a server may take for its next bytes."""


@dataclass(frozen=True)
class Published:
    """One entry of a package's list.

    Attributes:
        network: "torchvision:resnet18".
        name: "IMAGENET1K_V1", "a1_in1k".
        files: where the weights may lie, the first choice first.
        url: where they are published; "" where that is not said.
        preprocessing: fields of `Preprocessing`.
        words: where these come from.
        classes: names, if the entry says them.
        options: arguments that the network's function needs for these weights.
    """

    network: str
    name: str
    files: tuple[Path, ...]
    url: str
    preprocessing: dict[str, Any]
    words: str
    classes: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> str:
        """The model's string."""
        source = self.network.partition(":")[0]
        return f"{self.network}.{self.name}" if source == "timm" else f"{self.network}@{self.name}"

    def facts(self) -> dict[str, Any]:
        """What a card says of it."""
        source = self.network.partition(":")[0]
        return {"weights_name": self.name, "weights_url": self.url or None, "origin": f"{source} {self.name}"}


def names_of(network: str) -> list[str]:
    """The entries of a network, "torchvision:NAME" or "timm:NAME".

    Raises:
        DesaliError: the package is not installed.
    """
    source, _, name = network.partition(":")
    if source == "torchvision":
        return [one.name for one in package("torchvision", "torchvision.models").get_model_weights(name)]
    timm = package("timm", "timm")
    full = [one for one in timm.list_pretrained(f"{name.partition('.')[0]}.*") if one.partition(".")[2]]
    return [one.partition(".")[2] for one in full]


def entry(network: str, name: str) -> Published:
    """The entry of that name.

    Raises:
        UnknownNameError: the package lists no such entry.
    """
    known = names_of(network)
    source, _, short = network.partition(":")
    if source == "torchvision" and name == "DEFAULT" and known:
        name = str(package("torchvision", "torchvision.models").get_model_weights(short).DEFAULT.name)
    if name not in known:
        raise UnknownNameError(f"weights of {network}", name, [*known, "random"])
    return _torchvision(network, name) if source == "torchvision" else _timm(network, name)


def _torchvision(network: str, name: str) -> Published:
    import torch

    short = network.partition(":")[2]
    found = package("torchvision", "torchvision.models").get_model_weights(short)[name]
    url = str(found.url)
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    rule = found.transforms()
    (size,) = {int(side) for side in rule.crop_size}
    given = {
        **IMAGENET, "size": size, "mean": tuple(rule.mean), "std": tuple(rule.std),
        "resize": _resize(getattr(rule.interpolation, "value", rule.interpolation)),
        "resize_to": int(min(rule.resize_size)) if len(rule.resize_size) == 1 else None,
    }  # fmt: skip
    options = {"transform_input": True} if short in ("googlenet", "inception_v3") else {}
    classes = tuple(map(str, found.meta.get("categories") or ()))
    return Published(network, name, (file,), url, given, f"torchvision's entry {name}", _told_apart(classes), options)


def _timm(network: str, name: str) -> Published:
    import torch

    short = network.partition(":")[2].partition(".")[0]
    found = package("timm", "timm").get_pretrained_cfg(f"{short}.{name}")
    url = str(found.url or "")
    files = []
    if found.hf_hub_id:
        names = (found.hf_hub_filename,) if found.hf_hub_filename else ("model.safetensors", "pytorch_model.bin")
        files += [file for one in names for file in _snapshots(str(found.hf_hub_id), one)]
    if url:
        files.append(Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2])
    channels, size, _ = found.input_size
    given = {
        **IMAGENET, "size": size, "channels": channels, "mean": tuple(found.mean), "std": tuple(found.std),
        "resize": _resize(found.interpolation),
        "resize_to": int(size / found.crop_pct) if found.crop_mode == "center" else None,
    }  # fmt: skip
    return Published(f"timm:{short}", name, tuple(files), url, given, f"timm's entry {short}.{name}")


def _resize(word: Any) -> str:
    return "bilinear" if str(word) == "bilinear" else "bicubic"


def _told_apart(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of which none is given twice, as ImageNet's "crane" and "maillot" are."""
    return tuple(name if classes.count(name) == 1 else f"{name} ({index})" for index, name in enumerate(classes))


def _snapshots(repository: str, name: str) -> list[Path]:
    """The file of a repository in the Hugging Face cache: of the branch main, else of any revision."""
    repository, _, revision = repository.partition("@")
    folder = _hub() / f"models--{repository.replace('/', '--')}"
    with contextlib.suppress(OSError):
        revision = revision or (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    own = folder / "snapshots" / revision / name if revision else None
    others = sorted(folder.glob(f"snapshots/*/{name}"))
    return [*([own] if own is not None else []), *(file for file in others if file != own)]


def _hub() -> Path:
    given = os.environ
    for key in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if given.get(key):
            return Path(given[key])
    if given.get("HF_HOME"):
        return Path(given["HF_HOME"]) / "hub"
    home = given.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "huggingface" / "hub"


def file_of(found: Published, download: bool, progress: Callable[[int, int], None] | None = None) -> Path:
    """The entry's file, checked by its digest; fetched into torch's hub cache where it is missing and that is asked.

    Args:
        download: whether it may be fetched.
        progress: told of bytes that have come and of all (0 if unknown).

    Raises:
        WeightsError: it is missing and may not or cannot be fetched, or is another than the entry's.
    """
    for file in found.files:
        if file.is_file():
            digest = _pinned(file)
            if digest and not _digest(file).startswith(digest):
                raise WeightsError(
                    f"{file}: is not what {found.spec} names (SHA-256 differs from its name), so it is damaged: delete "
                    "it, and fetch it again with download=True"
                )
            return file
    where = f"nothing of that name in {found.files[-1].parent}" if found.files else "not in the Hugging Face cache"
    pinned = _HASHED.search(found.url)
    if not download:
        way = "download=True fetches them" if pinned else _by_hand(found)
        raise WeightsError(
            f"{found.spec}: its weights are not on this machine ({where}); {way}, or name a file (@FILE)"
        )
    if pinned is None:
        raise WeightsError(
            f"{found.spec}: no digest is published with its weights, so they are not fetched; {_by_hand(found)}"
        )
    target = found.files[-1]
    _fetch(found, target, pinned[1], progress)
    return target


def _by_hand(found: Published) -> str:
    name = found.network.partition(":")[2]
    return f"let timm fetch them once (timm.create_model('{name}.{found.name}', pretrained=True))"


def _pinned(file: Path) -> str:
    """What a file's name, or the blob's that it stands for, says of its digest; "" for nothing."""
    blob = file.resolve().name
    named = _HASHED.search(file.name)
    return blob if _BLOB.fullmatch(blob) else named[1] if named else ""


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise WeightsError(f"{file}: cannot be read ({error.strerror or error}); check the path") from error
    return digest.hexdigest()


def _fetch(found: Published, target: Path, digest: str, progress: Callable[[int, int], None] | None) -> None:
    """Write what the entry's address gives, whole and checked or not at all."""
    if not found.url.startswith(("https://", "http://")):
        raise WeightsError(f"{found.spec}: {found.url!r} is no web address, so nothing is fetched")
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        own = hashlib.sha256()
        for chunk, come, size in _chunks(found):
            own.update(chunk)
            stream.write(chunk)
            if progress is not None:
                progress(come, size)
        if not own.hexdigest().startswith(digest):
            raise WeightsError(
                f"{found.spec}: what {found.url} gave is not what its name says (SHA-256 {own.hexdigest()[:16]}..., "
                f"expected {digest}...); nothing was kept"
            )


def _chunks(found: Published) -> Iterator[tuple[bytes, int, int]]:
    """The bytes behind an address, how many have come, and how many it announces (0: unknown)."""
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(found.url, headers={"User-Agent": "desali"}), timeout=TIMEOUT) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            come = 0
            while chunk := answer.read(_CHUNK):
                come += len(chunk)
                yield chunk, come, size
    except (OSError, HTTPException, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{found.spec}: {found.url} cannot be fetched ({reason}); nothing was kept") from error
    if come < size:
        raise WeightsError(f"{found.spec}: {found.url} gave {come} of {size} bytes; nothing was kept; try again")


def renamed(network: str, state: Mapping[str, Any], expected: Sequence[str]) -> dict[str, Any]:
    """The tensors of published weights under the names of today's networks: torchvision's DenseNets had others."""
    if not network.startswith("torchvision:densenet"):
        return dict(state)
    old = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))")
    new = {name: (found[1] + found[2] if (found := old.fullmatch(name)) else name) for name in state}
    return {new[name]: value for name, value in state.items()} if set(new.values()) <= set(expected) else dict(state)


def meant(network: str, given: str | None, suffixes: Sequence[str]) -> Published | None:
    """The published weights that are meant, if any are.

    Args:
        network: of any source.
        given: what was named as its weights; None: nothing.
        suffixes: of files.
    """
    source, _, name = network.partition(":")
    tag = name.partition(".")[2]
    if source == "timm" and given is None and tag:
        return entry(network, tag)
    plain = given is not None and Path(given).suffix not in suffixes and os.sep not in given
    if source in ("torchvision", "timm") and given is not None and given != "random" and plain:
        return None if Path(given).exists() else entry(network, given)
    return None


def offered(network: str) -> str:
    """In a message, what a package publishes for a network."""
    source, _, name = network.partition(":")
    if source not in ("torchvision", "timm"):
        return ""
    blueprint(network)  # an unknown network is said first
    names = names_of(network)
    short = [f"{network}@{one}" if source == "torchvision" else f"timm:{name}.{one}" for one in names[:NAMED]]
    return f", published weights ({', '.join(short)}{', ...' if len(names) > NAMED else ''})" if names else ""


def progress(spec: str) -> Callable[[int, int], None] | None:
    """A bar on a terminal."""
    from tqdm import tqdm

    if not sys.stderr.isatty():
        return None
    bar = tqdm(desc=spec, unit="B", unit_scale=True, file=sys.stderr)

    def show(come: int, size: int) -> None:
        bar.total = size or None
        bar.update(come - bar.n)
        if come >= size:
            bar.close()

    return show
