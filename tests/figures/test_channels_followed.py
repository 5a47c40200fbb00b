"""One channel of each layer: the same where it can be followed, else each model's own strongest; and what is said."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import desali
from desali.comparison.differences import changed_parts
from desali.comparison.kinship import kinship
from desali.comparison.networks import subject
from desali.comparison.one_channel import Chosen, choose, strongest
from desali.comparison.probe_set import probe_set
from desali.errors import DataError, SeedError
from desali.figures.drawing.panel import Bars, Matrix, Panel
from desali.figures.figure import Figure
from tests.figures.networks import further, picture, plain, residual
from tests.torchvision_models import torchvision

LAYERS = ["relu", "layer1", "layer3", "layer4"]


def images(count: int = 24) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    rough = torch.rand(count, 3, 8, 8, generator=generator)
    return torch.nn.functional.interpolate(rough, size=32, mode="bilinear")


def slightly(model: nn.Module, seed: int = 3, by: float = 0.05) -> nn.Module:
    """A copy all of whose weights moved a little."""
    twin = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter += by * parameter.std(correction=0) * torch.randn(parameter.shape, generator=generator)
    return twin


PARENT = residual(1)
CHILD = slightly(PARENT)


@pytest.fixture(scope="module")
def followed() -> Figure:
    models = {"stranger": residual(7), "parent": PARENT, "child": CHILD}
    return desali.compare(models, picture(), layers=LAYERS, images=images(), replicates={"child": slightly(PARENT, 5)})


def test_kin_show_the_same_channel_and_strangers_their_own_strongest(followed: Figure) -> None:
    record = followed.to_dict()
    image = picture()[None]
    for row, layer in zip(record["channels"]["rows"], LAYERS, strict=True):
        assert row["stranger"]["same_as"] is row["parent"]["same_as"] is None
        assert row["child"]["same_as"] == row["child, again"]["same_as"] == "parent"
        assert row["child"]["channel"] == row["child, again"]["channel"] == row["parent"]["channel"]
        assert row["child"]["correlation"] > 0.9
        own = desali.record(residual(7), image).activation(layer)[0]
        assert row["stranger"]["channel"] == int(own.clamp(min=0).sum((1, 2)).argmax())
    change = desali.lineage(PARENT, CHILD, images())
    for row, layer in zip(record["channels"]["rows"], LAYERS, strict=True):
        found = change[layer]
        channel = row["parent"]["channel"]
        assert found.traced[channel]
        assert row["child"]["correlation"] == pytest.approx(found.correlation[channel], abs=1e-5)
    assert "followed over 24 images" in record["note"]
    captions = [cell.caption for row in followed.grid.panels[1:] for cell in row if isinstance(cell, Panel)]
    assert any("the same as in parent, r 0.9" in caption or "r 1.00" in caption for caption in captions)
    assert any(caption.startswith("max") and "its own strongest" in caption for caption in captions)


def test_the_maps_are_those_of_the_channels_that_are_named(followed: Figure) -> None:
    record = followed.to_dict()
    image = picture()[None]
    for number, layer in enumerate(LAYERS):
        channel = record["channels"]["rows"][number]["child"]["channel"]
        one = desali.record(CHILD, image)
        entry = record["rows"][number]["models"]["child"]
        assert entry["activation_max"] == pytest.approx(float(one.activation(layer)[0, channel].abs().max()), rel=1e-5)
        assert entry["channel"]["channel"] == channel
        maps = desali.reconstruct(CHILD, image, layer, desali.Seed.channel(channel))[0, 0]
        from desali.figures.drawing.display import display_map

        assert entry["reconstructions"][0]["a"] == pytest.approx(display_map(maps, colour=True)[1], rel=1e-4)


def test_a_channel_that_was_replaced_is_not_called_the_same() -> None:
    image = picture()
    before = desali.compare({"a": PARENT, "b": CHILD}, image, layers=["layer1"], images=images()).to_dict()
    channel = before["channels"]["rows"][0]["a"]["channel"]
    other = copy.deepcopy(CHILD)
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for weight in (other.layer1.conv2.weight, other.layer1.downsample.weight):
            weight[channel] = torch.randn(weight[channel].shape, generator=generator) * weight.std()
    record = desali.compare({"a": PARENT, "b": other}, image, layers=["layer1"], images=images()).to_dict()
    row = record["channels"]["rows"][0]
    assert row["a"]["channel"] != channel, "the strongest that has a counterpart"
    assert row["b"]["same_as"] == "a"
    values = torch.zeros(2, 1, 1)
    values[1] = 1
    kin = _Kin(traceable=[True, False], strangers=False)
    both = choose({"a": values, "b": values.flip(0)}, {"a": "l", "b": "l"}, kin)  # type: ignore[arg-type]
    assert both == {"a": Chosen(1), "b": Chosen(0, lost="a")}
    assert "that of a is not traceable here" in both["b"].words
    kin = _Kin(traceable=[True, True], strangers=True)
    assert choose({"a": values, "b": values.flip(0)}, {"a": "l", "b": "l"}, kin) == {  # type: ignore[arg-type]
        "a": Chosen(1), "b": Chosen(0),
    }  # fmt: skip


class _Kin:
    """A kinship of one layer of two channels."""

    def __init__(self, traceable: list[bool], strangers: bool) -> None:
        self.traceable, self.frozen = np.array(traceable), np.zeros(2, bool)
        self.correlation, self.strangers = np.ones(2), strangers

    def between(self, one: str, other: str, layer: str) -> _Kin:
        return self

    def same(self, channel: int) -> bool:
        return bool(self.traceable[channel]) and not self.strangers


def test_kinship_is_what_lineage_measures_of_every_pair() -> None:
    networks = {"parent": PARENT, "child": CHILD, "other": residual(9)}
    shown = [subject(name, model) for name, model in networks.items()]
    found = kinship(shown, probe_set(images()), ["relu", "layer2", "pool"])
    assert {layer for _, _, layer in found.pairs} == {"relu", "layer2"}, "a pooling is not followed"
    for one, other in (("parent", "child"), ("parent", "other"), ("child", "other")):
        change = desali.lineage(networks[one], networks[other], images())
        for layer in ("relu", "layer2"):
            pair = found.between(one, other, layer)
            assert pair is not None
            np.testing.assert_array_equal(pair.traceable, change[layer].traced)
            np.testing.assert_allclose(pair.correlation, change[layer].correlation, atol=1e-5)
    assert found.pairs["parent", "other", "relu"].strangers
    assert not found.pairs["parent", "child", "relu"].strangers


def test_without_images_ancestry_is_not_measured_and_the_figure_says_so() -> None:
    figure = desali.compare({"a": PARENT, "b": CHILD}, picture(), layers=["layer3"])
    row = figure.to_dict()["channels"]["rows"][0]
    assert row["a"]["same_as"] is row["b"]["same_as"] is None
    assert "Ancestry was not measured (no images were given)" in figure.grid.footnote
    two = {"a": residual(), "b": plain()}
    figure = desali.compare(two, picture(), layers={"a": ["relu"], "b": ["1"]}, images=images())
    assert "Ancestry was not measured (the models are of several architectures)" in figure.grid.footnote
    with pytest.raises(DataError, match="too few"):
        desali.compare({"a": PARENT, "b": CHILD}, picture(), images=images(3))
    assert strongest(torch.tensor([[-9.0], [0.5], [0.2]])) == 1


def test_two_residual_networks_that_differ_in_their_last_layer_are_said_to() -> None:
    both = {"before": residual(), "after": further(residual(), ["layer4"])}
    figure = desali.compare(both, picture())
    assert figure.summary().startswith(
        "before and after differ in layer4 alone: all other weights are equal bit by bit. On this image relu to "
        "layer3.relu:1 are equal bit by bit in all models; the change shows in layer4.relu:1."
    )
    rows = figure.to_dict()["rows"]
    assert [row["equal"] for row in rows] == [{"after": "before"}] * 4 + [{}]
    assert figure.to_dict()["contrast"]["equal"] == {}
    for row in figure.grid.panels[1:5]:
        assert [cell for cell in row[3:5] if isinstance(cell, Panel)] == []
    with_images = desali.compare(both, picture(), images=images()).to_dict()
    assert [row["after"]["frozen"] for row in with_images["channels"]["rows"]] == [True] * 4 + [False]


def test_two_resnets_of_torchvision_that_differ_in_layer4_are_said_to() -> None:
    models = torchvision()
    torch.manual_seed(0)
    before = models.resnet18(weights=None).eval()
    after = further(before, ["layer4"], by=0.02)
    figure = desali.compare({"before": before, "after": after}, picture(size=(64, 64)), contrast=False)
    assert "before and after differ in layer4 alone" in figure.summary()
    assert "relu to layer3.1.relu:1 are equal bit by bit" in figure.summary()
    assert "the change shows in layer4.1.relu:1" in figure.summary()


def test_changed_parts_are_as_large_as_they_can_be() -> None:
    base = residual()
    assert changed_parts(base, copy.deepcopy(base)) == []
    assert changed_parts(base, further(base, ["layer4"])) == ["layer4"]
    assert changed_parts(base, further(base, ["layer1.conv2", "fc"])) == ["layer1.conv2", "fc"]
    assert changed_parts(base, plain()) is None


@pytest.mark.parametrize("label", [None, 3, "C"])
def test_the_first_row_is_the_contrast_of_one_class(label: Any) -> None:
    names = ["A", "B", "C", "D"]
    models = {"a": residual(0), "b": residual(1)}
    image = picture()
    figure = desali.compare(models, image, layers=["layer3"], label=label, classes=names)
    record = figure.to_dict()
    outputs = {name: model(image[None])[0].detach() for name, model in models.items()}
    target = int(outputs["a"].argmax()) if label is None else 3 if label == 3 else 2
    assert record["label"] == label
    for name, model in models.items():
        leaf = image[None].clone().requires_grad_()
        output = model(leaf)[0]
        loss = output[target] - (output.sum() - output[target]) / 3
        (gradient,) = torch.autograd.grad(loss, leaf)
        from scipy.ndimage import gaussian_filter

        from desali.figures.drawing.display import display_signed

        shown, a = display_signed(gaussian_filter(gradient[0].sum(0).double().numpy(), 1.0))
        entry = record["contrast"]["models"][name]["reconstructions"][0]
        assert entry["class"] == target
        assert entry["a"] == pytest.approx(a, rel=1e-3)
        cells = figure.grid.panels[0][1:5]
        bars, panel = cells[:2] if name == "a" else cells[2:]
        assert isinstance(panel, Panel)
        assert panel.kind == "contrast"
        assert abs(panel.image - shown).max() < 1e-3
        assert isinstance(bars, Bars)
        assert bars.names[bars.marked if bars.marked is not None else -1] == names[target]
        wanted = sorted(outputs[name].tolist(), reverse=True)
        assert list(bars.values) == pytest.approx(wanted, abs=1e-6), "signed, with the largest first"
    assert figure.grid.rows[0].splitlines()[:2] == ["class contrast", f"of {names[target]}"]
    assert json.loads(json.dumps(record)) == record


def test_a_class_that_is_none_is_refused_and_heads_of_other_sizes_have_their_own() -> None:
    for label in ("Z", 4, "4", True, -1):
        with pytest.raises(SeedError, match="is no class of a, which has 4"):
            desali.compare({"a": residual(0), "b": residual(1)}, picture(), label=label)
    with pytest.raises(SeedError, match=r"needs the image's own class: name it \(label=\)"):
        desali.compare({"a": residual(0), "b": residual(1)}, picture(), seed=desali.Seed.contrast("true"))
    heads = {"four": residual(0), "nine": residual(1, classes=9)}
    record = desali.compare(heads, picture(), layers=["layer3"]).to_dict()
    for name, model in heads.items():
        entry = record["contrast"]["models"][name]["reconstructions"][0]
        assert entry["class"] == int(model(picture()[None])[0].argmax())
    without = desali.compare(heads, picture(), layers=["layer3"], contrast=False)
    assert without.to_dict()["contrast"] is None
    assert len(without.grid.panels) == 1


def test_a_network_that_ends_in_a_softmax_is_contrasted_before_it_and_one_without_classes_not_at_all() -> None:
    both = {name: nn.Sequential(residual(seed), nn.Softmax(1)).eval() for name, seed in (("a", 0), ("b", 1))}
    record = desali.compare(both, picture(), layers=["0.layer3"]).to_dict()
    assert record["contrast"]["layer"] == "0.fc"
    plainly = desali.compare({"a": residual(0), "b": residual(1)}, picture(), layers=["layer3"]).to_dict()
    for name in both:
        scales = [one["contrast"]["models"][name]["reconstructions"][0]["a"] for one in (record, plainly)]
        assert scales[0] == pytest.approx(scales[1], rel=1e-4)
    maps = {"a": nn.Sequential(*list(plain(0))[:8]).eval(), "b": nn.Sequential(*list(plain(1))[:8]).eval()}
    figure = desali.compare(maps, picture(), layers=["1", "7"])
    assert figure.to_dict()["contrast"] is None


def test_a_replicate_stands_beside_and_a_smaller_difference_is_none() -> None:
    models = {"a": PARENT, "b": slightly(PARENT, 2, 0.001)}
    figure = desali.compare(models, picture(), layers=["layer4"], replicates={"b": [slightly(PARENT, 6, 0.5)]})
    record = figure.to_dict()
    assert record["replicates"]["b, again"]["of"] == "b"
    assert [column.label for column in figure.grid.columns if column.group == "other seeds"] == ["b, again"]
    assert "no difference shown" in figure.summary()
    assert "b : b, again" in figure.table().splitlines()[0]
    other = desali.compare(models | {"b": residual(8)}, picture(), layers=["layer4"], replicates={"a": CHILD})
    assert "no difference shown" not in other.summary()
    for wrong, words in (({"c": CHILD}, "replicates names 'c'"), ({"b": plain()}, "built otherwise than b")):
        with pytest.raises(DataError, match=words):
            desali.compare(models, picture(), replicates=wrong)
    with pytest.raises(DataError, match="the same object"):
        desali.compare(models, picture(), replicates={"b": PARENT})


def test_under_every_row_stands_what_each_pair_has_in_common(followed: Figure) -> None:
    record = followed.to_dict()
    for matrix, row in zip(followed.grid.below, [record["contrast"], *record["rows"]], strict=True):
        assert isinstance(matrix, Matrix)
        labels = ["stranger", "parent", "child", "child, again", "random weights 1", "random weights 2"]
        assert [*matrix.rows, matrix.columns[-1]] == labels
        known = {(one["first"], one["second"]): one["rank_correlation"] for one in [*row["pairs"], *row["random"]]}
        floor = max(one["rank_correlation"] for one in row["random"])
        for i, first in enumerate(matrix.rows):
            for j, second in enumerate(matrix.columns):
                assert matrix.values[i][j] == known.get((first, second))
                above = (first, second) in known and known[first, second] > floor and "random" not in second
                assert ((i, j) in matrix.strong) == above
        assert f"{floor:.2f}".replace("-", "\N{MINUS SIGN}") in matrix.note


def test_a_whole_layer_is_shown_with_its_warning() -> None:
    figure = desali.compare({"a": PARENT, "b": CHILD}, picture(), layers=["layer3"], seed=desali.Seed.layer())
    assert "their maps look alike whatever the weights are" in figure.grid.footnote
    assert figure.to_dict()["channels"] is None
    one = desali.compare({"a": PARENT, "b": CHILD}, picture(), layers=["layer3"])
    assert "their maps look alike" not in one.grid.footnote


def test_input_and_edges_stand_in_the_first_row_alone(followed: Figure) -> None:
    for number, row in enumerate(followed.grid.panels):
        assert isinstance(row[0], Panel) == isinstance(row[-1], Panel) == (number == 0)


def test_logits_are_shown_signed_and_by_name() -> None:
    models = {"a": residual(0), "b": residual(1)}
    figure = desali.compare(models, picture(), seed=desali.Seed.logit(1), classes=["A", "B", "C", "D"], contrast=False)
    bars = figure.grid.panels[0][1]
    assert isinstance(bars, Bars)
    wanted = models["a"](picture()[None])[0].tolist()
    assert dict(zip(bars.names, bars.values, strict=True)) == pytest.approx(dict(zip("ABCD", wanted, strict=True)))
