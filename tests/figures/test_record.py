"""The record beside a figure is enough to make the figure again, in Python, bit by bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import desali
from desali.data.roi import read_image
from desali.figures.settings import Settings
from desali.figures.viewer import Viewer
from desali.models import checkpoint
from desali.models.registry import ARCHITECTURES


def _trained(model: torch.nn.Module, number: int) -> torch.nn.Module:
    """The same network at first, a little further at each number."""
    torch.manual_seed(number)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += number * 0.002 * torch.randn_like(parameter)
    return model


ADJOINT_ABOVE = desali.Method(
    True, False, True, lrn="adjoint", overlap="overwrite", only=["features.relu1", "features.pool1"], smooth="gradient"
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    entry = ARCHITECTURES["caffenet-small"]
    card = {"architecture": entry.name, "classes": ["a", "b"], "preprocessing": entry.preprocessing, "origin": "none"}
    folder = tmp_path_factory.mktemp("models")
    paths = []
    for number in range(3):
        torch.manual_seed(0)
        paths.append(checkpoint.save(_trained(entry.build(2, 3), number), folder / f"m{number}.safetensors", card))
    return paths


def from_record(record: dict[str, Any]) -> tuple[Viewer, Any]:
    """What a reader of the record makes of it, with nothing else at hand."""
    models = {name: checkpoint.load(facts["path"]) for name, facts in record["models"].items()}
    again = {facts["of"]: checkpoint.load(facts["path"]) for facts in record["replicates"].values()}
    image = record["image"]
    box = None if image["box"] is None else tuple(image["box"])
    viewer = Viewer(models, Settings.from_record(record), replicates=again)
    return viewer, read_image(Path(image["path"]), box=box, hu_offset=image["hu_offset"])


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(("features.relu3",), desali.Seed.channel(4, value="one"), ADJOINT_ABOVE, (-500.0, 900.0), "row", 5),
        Settings(("features.relu2",), desali.Seed.top(1, at=(2, 3), value="activation"), "guided_backprop"),
        Settings(("features.relu4",), desali.Seed.neuron(3, 1, 1), desali.Method(False, True, False), backend="torch"),
        Settings(None, desali.Seed.logit(1), "gradient"),
        Settings(seed=desali.Seed.layer(), label="b", random_networks=1),
        Settings(seed=desali.Seed.contrast()),
        Settings(seed=desali.Seed.contrast("true"), label=0, random_networks=3),
        Settings(("features.relu2",), contrast=False, random_networks=0),
    ],
    ids=lambda settings: "one channel" if settings.seed is None else settings.seed.describe(),
)
@pytest.mark.parametrize("followed", [False, True], ids=["", "followed"])
def test_the_data_of_a_record_make_the_same_maps(
    settings: Settings, followed: bool, weights: list[Path], lung_patch_tiff: Path, tmp_path: Path
) -> None:
    roi = read_image(lung_patch_tiff)
    models = {path.stem: checkpoint.load(path) for path in weights[:2]}
    more: dict[str, Any] = {}
    if followed:
        torch.manual_seed(0)
        more = {"images": torch.rand(6, 3, 64, 64), "replicates": {"m1": checkpoint.load(weights[2])}}
    viewer = Viewer(models, settings, **more)
    block = viewer.look(roi)
    out = viewer.figure(roi, block=block).save(tmp_path / "figure.png", command=["desali"])

    record = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    again, image = from_record(record)
    seen = again.look(image)
    assert list(seen.models) == list(block.models)
    pairs = [
        *zip(seen.models.values(), block.models.values(), strict=True),
        *zip(seen.replicates.values(), block.replicates.values(), strict=True),
        *zip(seen.controls.values(), block.controls.values(), strict=True),
    ]
    assert len(pairs) == 2 + followed + settings.random_networks
    for one, other in pairs:
        for view, expected in zip(one.look.views, other.look.views, strict=True):
            assert torch.equal(view.maps, expected.maps)
            assert torch.equal(view.activation, expected.activation)
            assert expected.maps.any()
        assert (one.look.contrast is None) == (other.look.contrast is None)
        if one.look.contrast is not None and other.look.contrast is not None:
            assert torch.equal(one.look.contrast.maps, other.look.contrast.maps)
    second = again.figure(image, record["title"])
    pictures = out.read_bytes()
    assert second.save(tmp_path / "again.png", command=["desali"]).read_bytes() == pictures
    assert json.loads((tmp_path / "again.json").read_text())["rows"] == record["rows"]
    ancestry = "" if record["channels"] is None else record["channels"]["ancestry"]["words"]
    assert ("followed over 6 images" in ancestry) == (followed and settings.seed is None)


def test_a_record_keeps_the_whole_method(weights: list[Path], lung_patch_tiff: Path) -> None:
    viewer = Viewer({"m": checkpoint.load(weights[0])}, Settings(("features.relu2",), method=ADJOINT_ABOVE))
    record = viewer.figure(read_image(lung_patch_tiff)).to_dict()
    assert record["method_given"]
    assert record["method"] == {
        "relu_mask": True,
        "switches": False,
        "relu_backward": True,
        "lrn": "adjoint",
        "overlap": "overwrite",
        "only": ["features.relu1", "features.pool1"],
        "smooth": "gradient",
    }
