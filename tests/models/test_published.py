"""Weights that packages publish, by name: from their caches, or fetched when asked, checked by their digest.

torchvision and timm are stood in for, and the server runs here: nothing is fetched from elsewhere.
"""

from __future__ import annotations

import enum
import hashlib
import sys
import threading
import types
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

import desali
from desali.errors import DesaliError, UnknownNameError, WeightsError
from desali.models import published
from desali.models.sources import label, load


class Net(nn.Module):
    def __init__(self, num_classes: int = 3, transform_input: bool = False) -> None:
        super().__init__()
        self.transform_input = transform_input
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).relu().mean((2, 3)))


def state(seed: int = 5, classes: int = 3) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return {name: torch.randn_like(tensor) for name, tensor in Net(classes).state_dict().items()}


def as_pth(content: Any, folder: Path) -> bytes:
    file = folder / "content.pth"
    torch.save(content, file)
    return file.read_bytes()


class Server:
    """Files by name; counts what is asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.announce = 0
        """Bytes by which the announced length is larger than what comes."""
        own = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                own.asked.append(name)
                if name not in own.files:
                    self.send_error(404)
                    return
                data = own.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(data) + own.announce))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/models"


@pytest.fixture
def server() -> Iterator[Server]:
    own = Server()
    yield own
    own.http.shutdown()
    own.http.server_close()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Package:
    """Stand-ins for torchvision and timm, with a cache of their own."""

    def __init__(self, hub: Path, url: str, data: bytes) -> None:
        self.hub, self.url, self.data = hub, url, data
        self.name = f"net-{digest(data)[:8]}.pth"

    @property
    def cached(self) -> Path:
        return self.hub / "checkpoints" / self.name

    def keep(self, data: bytes | None = None) -> None:
        self.cached.parent.mkdir(parents=True, exist_ok=True)
        self.cached.write_bytes(self.data if data is None else data)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Package:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    own = Package(tmp_path / "torch" / "hub", server.url, as_pth(state(), tmp_path))
    server.files[own.name] = own.data
    rule = types.SimpleNamespace(
        crop_size=[48], resize_size=[56], mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7],
        interpolation=types.SimpleNamespace(value="bilinear"),
    )  # fmt: skip

    class Entry(enum.Enum):
        IMAGENET1K_V1 = f"{server.url}/{own.name}"
        IMAGENET1K_V2 = f"{server.url}/other-01234567.pth"
        DEFAULT = IMAGENET1K_V1

        @property
        def url(self) -> str:
            return str(self.value)

        @property
        def transforms(self) -> Callable[[], Any]:
            return lambda: rule

        @property
        def meta(self) -> dict[str, Any]:
            return {"categories": ["tench", "crane", "crane"]}

    def get_model(name: str, weights: None, **options: Any) -> nn.Module:
        assert weights is None, "the package fetches nothing itself"
        if name != "googlenet":
            return Net(**options)
        return Net(**{key: value for key, value in options.items() if key != "init_weights"})

    models = types.ModuleType("torchvision.models")
    models.list_models = lambda module=None: ["googlenet", "resnet18"]  # type: ignore[attr-defined]
    models.get_model = get_model  # type: ignore[attr-defined]
    models.get_model_weights = lambda name: Entry  # type: ignore[attr-defined]
    torchvision = types.ModuleType("torchvision")
    torchvision.models = models  # type: ignore[attr-defined]
    entries = {
        "resnet18.a1_in1k": (f"{server.url}/{own.name}", "timm/resnet18.a1_in1k"),
        "resnet18.hub_only": ("", "timm/resnet18.hub_only"),
        "resnet18.unpinned": (f"{server.url}/weights.pth", ""),
    }

    def configuration(name: str) -> Any:
        url, repository = entries[name]
        return types.SimpleNamespace(
            url=url, hf_hub_id=repository, hf_hub_filename=None, input_size=(3, 40, 40), mean=(0.4,) * 3,
            std=(0.2,) * 3, interpolation="bicubic", crop_pct=0.875, crop_mode="center",
        )  # fmt: skip

    timm = types.ModuleType("timm")
    timm.list_models = lambda: ["resnet18"]  # type: ignore[attr-defined]
    timm.list_pretrained = lambda pattern: list(entries)  # type: ignore[attr-defined]
    timm.get_pretrained_cfg = configuration  # type: ignore[attr-defined]
    timm.create_model = lambda name, pretrained, **options: Net(**options)  # type: ignore[attr-defined]
    for name, module in {"torchvision": torchvision, "torchvision.models": models, "timm": timm}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return own


def in_hub(folder: Path, tag: str, data: bytes, named: str = "", branch: bool = True) -> Path:
    """A file as the Hugging Face cache keeps it: a blob named by its digest, and a link to it."""
    root = folder / f"models--timm--resnet18.{tag}"
    for part in ("blobs", "refs", "snapshots/0123"):
        (root / part).mkdir(parents=True, exist_ok=True)
    blob = root / "blobs" / (named or digest(data))
    blob.write_bytes(data)
    if branch:
        (root / "refs" / "main").write_text("0123")
    link = root / "snapshots" / "0123" / "model.safetensors"
    link.symlink_to(Path("../..") / "blobs" / blob.name)
    return link


def message(call: Callable[[], Any], kind: type[DesaliError] = WeightsError) -> str:
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


def same(model: nn.Module) -> bool:
    return all(torch.equal(tensor, state()[name]) for name, tensor in model.state_dict().items())


def test_weights_of_torchvision_s_cache_come_with_their_preprocessing(package: Package, server: Server) -> None:
    package.keep()
    for spec in ("torchvision:resnet18@IMAGENET1K_V1", "torchvision:resnet18@DEFAULT"):
        loaded = load(spec)
        assert same(loaded.model)
        own = loaded.preprocessing
        assert (own.size, own.resize, own.mean, own.std) == (48, "bilinear", (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
        assert own.resize_to == 56
        assert loaded.path == package.cached
        assert loaded.classes == ("tench", "crane (1)", "crane (2)")
        assert loaded.card["weights_name"] == "IMAGENET1K_V1"
        assert loaded.card["weights_url"].endswith(package.name)
        assert loaded.card["weights_sha256"] == digest(package.data)
        assert loaded.card["preprocessing_origin"] == "torchvision's entry IMAGENET1K_V1"
        assert loaded.card["origin"] == "torchvision IMAGENET1K_V1"
    assert same(load("torchvision:resnet18", weights="IMAGENET1K_V1", classes=["a", "b", "c"]).model)
    assert server.asked == []
    assert label("torchvision:resnet18@IMAGENET1K_V1") == "resnet18@IMAGENET1K_V1"


def test_networks_that_published_weights_were_made_for_are_built_so(package: Package) -> None:
    package.keep()
    assert load("torchvision:googlenet@IMAGENET1K_V1").model.transform_input is True
    assert load("torchvision:googlenet@random").model.transform_input is False


def test_nothing_is_fetched_unless_it_is_asked_for(package: Package, server: Server) -> None:
    for spec in ("torchvision:resnet18@IMAGENET1K_V1", "timm:resnet18.a1_in1k", "timm:resnet18@a1_in1k"):
        text = message(lambda spec=spec: load(spec))  # type: ignore[misc]
        assert "not on this machine" in text
        assert "download=True fetches them" in text
    assert server.asked == []
    assert not package.cached.exists()


def test_what_is_asked_for_is_fetched_once_and_checked(package: Package, server: Server) -> None:
    loaded = desali.load("torchvision:resnet18@IMAGENET1K_V1", download=True)
    assert same(loaded.model)
    assert server.asked == [package.name]
    assert package.cached.read_bytes() == package.data
    load("torchvision:resnet18@IMAGENET1K_V1", download=True)
    load("timm:resnet18.a1_in1k")
    assert server.asked == [package.name], "from the cache"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("other bytes", "is not what its name says"),
        ("short", r"gave \d+ of \d+ bytes|cannot be fetched"),
        ("missing", "cannot be fetched .*404"),
        ("no server", "cannot be fetched"),
    ],
)
def test_what_comes_broken_is_not_kept(
    package: Package, server: Server, damage: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if damage == "other bytes":
        server.files[package.name] = package.data[:-1] + bytes([package.data[-1] ^ 1])
    elif damage == "short":
        server.announce = 100
    elif damage == "missing":
        server.files.clear()
    else:
        server.http.shutdown()
        server.http.server_close()
    with pytest.raises(WeightsError, match=words) as error:
        load("torchvision:resnet18@IMAGENET1K_V1", download=True)
    assert "\n" not in str(error.value)
    folder = package.cached.parent
    assert not folder.exists() or list(folder.iterdir()) == [], "nor a part of it"


def test_a_damaged_file_in_a_cache_is_refused(package: Package, tmp_path: Path) -> None:
    package.keep(package.data + b"x")
    text = message(lambda: load("torchvision:resnet18@IMAGENET1K_V1", download=True))
    assert "SHA-256 differs" in text
    assert "delete it" in text
    package.cached.unlink()
    in_hub(tmp_path / "hf", "a1_in1k", to_bytes(state(6)), named=digest(to_bytes(state())))
    assert "SHA-256 differs" in message(lambda: load("timm:resnet18.a1_in1k"))


@pytest.mark.parametrize("branch", [True, False])
def test_weights_of_the_hugging_face_cache(package: Package, tmp_path: Path, branch: bool) -> None:
    file = in_hub(tmp_path / "hf", "hub_only", to_bytes(state()), branch=branch)
    for spec in ("timm:resnet18.hub_only", "timm:resnet18@hub_only"):
        loaded = load(spec)
        assert same(loaded.model)
        assert loaded.path == file
        assert (loaded.preprocessing.size, loaded.preprocessing.resize_to) == (40, 45)
        assert loaded.preprocessing.std == (0.2,) * 3
    assert label("timm:resnet18.hub_only") == "resnet18.hub_only"


def test_what_no_digest_pins_is_not_fetched(package: Package, server: Server) -> None:
    for tag in ("hub_only", "unpinned"):
        for download in (False, True):
            text = message(lambda tag=tag, download=download: load(f"timm:resnet18.{tag}", download=download))  # type: ignore[misc]
            assert f"timm.create_model('resnet18.{tag}', pretrained=True)" in text
    assert server.asked == []


def test_names_that_nobody_publishes(package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = message(lambda: load("torchvision:resnet18@IMAGENET1K_V3"), UnknownNameError)
    assert "did you mean 'IMAGENET1K_V" in text
    assert "random" in text
    assert "a1_in1k" in message(lambda: load("timm:resnet18.a1_in2k"), UnknownNameError)
    assert "torchvision:resnet18@IMAGENET1K_V1" in message(lambda: load("torchvision:resnet18"))
    assert "timm:resnet18.a1_in1k" in message(lambda: load("timm:resnet18"))
    assert "no such weights file" in message(lambda: load("torchvision:resnet18@best.pt"))
    assert "not a weights file" in message(lambda: load("torchvision:resnet18@runs/best"))
    (tmp_path / "best").touch()
    assert "not a weights file" in message(lambda: load("torchvision:resnet18@best"))


def test_published_weights_are_never_unpickled(package: Package, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "touched",)

    package.data = as_pth({"fc.weight": Evil()}, tmp_path)
    own = package.hub / "checkpoints" / f"net-{digest(package.data)[:8]}.pth"
    own.parent.mkdir(parents=True)
    own.write_bytes(package.data)
    monkey = published._torchvision("torchvision:resnet18", "IMAGENET1K_V1")
    assert monkey.files[0].name == package.name
    package.cached.write_bytes(package.data)
    assert "SHA-256" in message(lambda: load("torchvision:resnet18@IMAGENET1K_V1")), "another file under that name"
    assert "would run code" in message(lambda: load("torchvision:resnet18", weights=own))
    assert not (tmp_path / "touched").exists()


def test_torchvision_s_densenets_had_other_names() -> None:
    expected = ["features.denseblock1.denselayer1.norm1.weight", "classifier.weight"]
    old = {"features.denseblock1.denselayer1.norm.1.weight": 1, "classifier.weight": 2}
    assert published.renamed("torchvision:densenet121", old, expected) == dict(zip(expected, (1, 2), strict=True))
    assert published.renamed("torchvision:resnet18", old, expected) == old


@pytest.mark.parametrize("name", ["resnet18", "vgg16_bn", "efficientnet_b0", "resnet18@w.pt", "densenet121@random"])
def test_a_network_by_its_bare_name_is_told_where_it_is(name: str, tmp_path: Path) -> None:
    text = message(lambda: load(name, runs=tmp_path))
    network, _, weights = name.partition("@")
    assert f"did you mean 'torchvision:{network}@{weights or 'WEIGHTS'}' or 'timm:{network}" in text
