"""The record beside a figure is enough to make the figure again, in Python, bit by bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import desali
from desali.data.roi import read_image
from desali.figures.viewer import Settings, Viewer
from desali.models import checkpoint
from desali.models.registry import ARCHITECTURES

ADJOINT_ABOVE = desali.Method(
    True, False, True, lrn="adjoint", overlap="overwrite", only=["features.relu1", "features.pool1"], smooth="gradient"
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    entry = ARCHITECTURES["caffenet-small"]
    card = {"architecture": entry.name, "classes": ["a", "b"], "preprocessing": entry.preprocessing, "origin": "none"}
    folder = tmp_path_factory.mktemp("models")
    paths = []
    for number in range(2):
        torch.manual_seed(number)
        paths.append(checkpoint.save(entry.build(2, 3), folder / f"m{number}.safetensors", card))
    return paths


def from_record(record: dict[str, Any]) -> tuple[Viewer, Any]:
    """What a reader of the record makes of it, with nothing else at hand."""
    models = {name: checkpoint.load(facts["path"]) for name, facts in record["models"].items()}
    settings = Settings(
        layers=tuple(record["layers"]),
        seed=desali.Seed.from_dict(record["seed"]),
        method=desali.Method.from_dict(record["method"]),
        window=None if record["window"] is None else tuple(record["window"]),
        scale=record["scale"],
        random_seed=record["control"]["random_seed"],
        device=record["device"],
        backend=record["backend"],
    )
    image = record["image"]
    box = None if image["box"] is None else tuple(image["box"])
    return Viewer(models, settings), read_image(Path(image["path"]), box=box, hu_offset=image["hu_offset"])


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(("features.relu3",), desali.Seed.channel(4, value="one"), ADJOINT_ABOVE, (-500.0, 900.0), "row", 5),
        Settings(("features.relu2",), desali.Seed.top(1, at=(2, 3), value="activation"), "guided_backprop"),
        Settings(("features.relu4",), desali.Seed.neuron(3, 1, 1), desali.Method(False, True, False), backend="torch"),
        Settings(None, desali.Seed.logit(1), "gradient"),
    ],
    ids=lambda settings: settings.seed.kind,
)
def test_the_data_of_a_record_make_the_same_maps(
    settings: Settings, weights: list[Path], lung_patch_tiff: Path, tmp_path: Path
) -> None:
    roi = read_image(lung_patch_tiff)
    viewer = Viewer({path.stem: checkpoint.load(path) for path in weights}, settings)
    block = viewer.look(roi)
    out = viewer.figure(roi, block=block).save(tmp_path / "figure.png", command=["desali"])

    record = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    again, image = from_record(record)
    seen = again.look(image)
    assert list(seen.models) == list(block.models)
    pairs = [
        *zip(seen.models.values(), block.models.values(), strict=True),
        *zip(seen.controls.values(), block.controls.values(), strict=True),
    ]
    assert len(pairs) == 3
    for one, other in pairs:
        for view, expected in zip(one.look.views, other.look.views, strict=True):
            assert torch.equal(view.maps, expected.maps)
            assert torch.equal(view.activation, expected.activation)
            assert expected.maps.any()
    second = again.figure(image, record["title"])
    pictures = out.read_bytes()
    assert second.save(tmp_path / "again.png", command=["desali"]).read_bytes() == pictures
    assert json.loads((tmp_path / "again.json").read_text())["rows"] == record["rows"]


def test_a_record_keeps_the_whole_method(weights: list[Path], lung_patch_tiff: Path) -> None:
    viewer = Viewer({"m": checkpoint.load(weights[0])}, Settings(("features.relu2",), method=ADJOINT_ABOVE))
    record = viewer.figure(read_image(lung_patch_tiff)).to_dict()
    assert record["method"] == {
        "relu_mask": True,
        "switches": False,
        "relu_backward": True,
        "lrn": "adjoint",
        "overlap": "overwrite",
        "only": ["features.relu1", "features.pool1"],
        "smooth": "gradient",
    }
