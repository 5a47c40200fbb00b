"""What lineage must say of networks whose relation is known."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import desali
from tests.comparison.related import Dense, Mobile, Plain, Residual, made, patients, permuted, pictures, plain, shaken

IMAGES = pictures()
PATIENTS = patients()


def replace_filters(convolution: nn.Conv2d, channels: torch.Tensor, seed: int) -> None:
    fresh = copy.deepcopy(convolution)
    torch.manual_seed(seed)
    fresh.reset_parameters()
    with torch.no_grad():
        convolution.weight[channels] = fresh.weight[channels] * convolution.weight.std() / fresh.weight.std()
        if convolution.bias is not None and fresh.bias is not None:
            convolution.bias[channels] = fresh.bias[channels]


def precision_and_recall(found: set[int], truth: set[int]) -> tuple[float, float]:
    return len(found & truth) / len(found) if found else 0.0, len(found & truth) / len(truth)


@pytest.mark.parametrize("number", range(5))
def test_planted_change_is_found(number: int) -> None:
    before = plain()
    after = shaken(before, 0.1)
    assert isinstance(after, Plain)
    convolution = after.convolutions[number]
    planted = torch.randperm(convolution.out_channels, generator=torch.Generator().manual_seed(number))[:8]
    replace_filters(convolution, planted, 50 + number)
    name = [name for name, module in before.features.named_children() if isinstance(module, nn.ReLU)][number]
    change = desali.lineage(before, after, IMAGES, PATIENTS, layers=[f"features.{name}"], random_networks=0)
    layer = change[f"features.{name}"]
    found = set(np.flatnonzero(~layer.traced).tolist())
    assert min(precision_and_recall(found, set(planted.tolist()))) >= 0.95
    assert layer.channels * (1 - layer.traceable) == pytest.approx(len(found))
    alive = (layer.firing_before > 0.01) & (layer.firing_after > 0.01)
    assert (layer.state[~layer.traced & alive] == "lost").all()
    assert (layer.state[layer.traced & alive] == "traceable").all()


def test_planted_change_in_a_trained_network(real_data: Path) -> None:
    loaded = desali_squeezenet(real_data)
    images = lung(real_data, 32)
    for layer, convolution in {
        "relu1": "conv1", "fire3.expand_relu": "fire3.expand1x1", "fire5.squeeze_relu": "fire5.squeeze",
        "fire7.expand_relu": "fire7.expand3x3", "fire8.squeeze_relu": "fire8.squeeze",
    }.items():  # fmt: skip
        after = copy.deepcopy(loaded)
        module: Any = after.get_submodule(convolution)
        planted = torch.randperm(module.out_channels, generator=torch.Generator().manual_seed(1))[:8]
        replace_filters(module, planted, 7)
        found = desali.lineage(loaded, after, images, layers=[layer], random_networks=0)[layer]
        offset = 0 if not convolution.endswith("3x3") else found.channels - module.out_channels
        truth = {int(channel) + offset for channel in planted}
        assert set(np.flatnonzero(found.state != "frozen").tolist()) == truth  # no other weights have changed
        assert min(precision_and_recall(set(np.flatnonzero(~found.traced).tolist()), truth)) >= 0.95, layer


def desali_squeezenet(real_data: Path) -> nn.Module:
    from desali.models.sources import load

    return load("squeezenet1_0", weights=real_data / "squeezenet" / "squeezenet_v1_0_decoded.npz").model


def lung(real_data: Path, count: int) -> torch.Tensor:
    with np.load(real_data / "lung_ct" / "lung_roi32_hu.npz") as archive:
        patches = archive["patches"]
    chosen = torch.from_numpy(patches[np.linspace(0, len(patches) - 1, count).astype(int)].astype(np.float32))
    grey = ((chosen + 600) / 1500 + 0.5).clamp(0, 1) * 255
    wide = torch.nn.functional.interpolate(grey[:, None], size=(64, 64), mode="bilinear")
    return wide.repeat(1, 3, 1, 1) - torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)


def test_zeroed_filters_are_silenced() -> None:
    before = plain()
    after = copy.deepcopy(before)
    zeroed = [1, 5, 6, 20, 31]
    with torch.no_grad():
        after.convolutions[1].weight[zeroed] = 0
        after.convolutions[1].bias[zeroed] = 0
    change = desali.lineage(before, after, IMAGES, random_networks=0)
    layer = change["features.3"]
    alive = layer.firing_before[zeroed] > 0.01
    assert alive.sum() >= 3
    assert set(layer.state[zeroed][alive]) == {"silenced"}
    assert set(np.delete(layer.state, zeroed)) == {"frozen"}
    assert np.isnan(layer.correlation[zeroed]).all()
    assert (layer.firing_after[zeroed] == 0).all()
    back = desali.lineage(after, before, IMAGES, random_networks=0)["features.3"]
    assert set(back.state[zeroed][alive]) == {"woken"}
    assert (back.partner[zeroed] == -1).all()


def test_a_whole_layer_silenced_is_no_stranger() -> None:
    before = plain()
    after = copy.deepcopy(before)
    with torch.no_grad():
        after.convolutions[3].weight.zero_()
        after.convolutions[3].bias.zero_()
    change = desali.lineage(before, after, IMAGES)
    layer = change["features.8"]
    assert not layer.strangers
    assert layer.traceable == 0
    assert set(layer.state) <= {"silenced", "silent throughout", "faint"}
    assert "silenced" in change.verdict


def test_permuted_channels_are_strangers_in_their_layer_alone() -> None:
    before, after, order = permuted()
    assert torch.allclose(before(IMAGES), after(IMAGES), atol=1e-6)
    change = desali.lineage(before, after, IMAGES, PATIENTS)
    assert [layer.name for layer in change if layer.strangers] == ["features.8"]
    assert not change.strangers
    layer = change["features.8"]
    assert layer.matched == 1
    assert layer.matched_correlation == pytest.approx(1, abs=1e-6)
    assert max(layer.random.matched) < 0.9
    assert "features.8 are strangers to themselves" in change.verdict
    assert "another order" in change.verdict
    assert change["features.11"].traceable == 1
    assert (layer.partner == torch.argsort(order).numpy()).all()


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for key in value for number in numbers(value[key])]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [float(value)] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


@pytest.mark.parametrize("seed", range(3))
def test_gauge(seed: int) -> None:
    before, after = plain(), shaken(plain(), 0.3)
    assert isinstance(after, Plain)
    scaled = copy.deepcopy(after)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for conv, follower in zip(scaled.convolutions, [*scaled.convolutions[1:], None], strict=True):
            factor = torch.randn(conv.out_channels, generator=generator).exp()
            conv.weight *= factor[:, None, None, None]
            conv.bias *= factor
            if follower is None:
                scaled.classifier.weight /= factor
            elif follower.groups == 1:
                follower.weight /= factor[None, :, None, None]
            else:
                for group, (rows, own) in enumerate(zip(follower.weight.chunk(2), factor.chunk(2), strict=True)):
                    assert group < 2
                    rows /= own[None, :, None, None]
    assert torch.allclose(after(IMAGES), scaled(IMAGES), atol=1e-4)
    plainly = desali.lineage(before, after, IMAGES, PATIENTS, replicates=[shaken(plain(), 0.3, 9)], random_networks=2)
    gauged = desali.lineage(before, scaled, IMAGES, PATIENTS, replicates=[shaken(plain(), 0.3, 9)], random_networks=2)
    one, other = (numbers(change.to_dict()["layers"]) for change in (plainly, gauged))
    assert len(one) == len(other) > 1000
    assert np.abs(np.subtract(one, other)).max() < 1e-5
    assert [layer.state.tolist() for layer in plainly] == [layer.state.tolist() for layer in gauged]
    assert plainly.verdict == gauged.verdict


def test_residual_networks_that_differ_in_the_last_stage() -> None:
    before = made(Residual)
    after = copy.deepcopy(before)
    assert isinstance(after.layer3, nn.Sequential)
    after.layer3.load_state_dict(shaken(after.layer3, 0.4).state_dict())
    change = desali.lineage(before, after, IMAGES, PATIENTS)
    equal = [layer.name for layer in change if layer.equal]
    assert equal == [name for name in change.layers if not name.startswith("layer3")]
    assert all(set(change[name].state) == {"frozen"} for name in equal)
    assert all("frozen" not in set(change[name].state) for name in change.layers if name not in equal)
    assert all(change[name].interval == (1.0, 1.0) for name in equal)
    assert change.verdict.startswith(f"{equal[0]} to {equal[-1]} are equal bit by bit, and the change is in layer3.0")
    assert not change.strangers
    assert change["conv1"].name == change["bn1"].name == "relu"
    assert change["layer2"].name == "layer2.1.relu:1"  # the sum at the end of the last block


def test_equal_networks() -> None:
    before = made(Residual)
    change = desali.lineage(before, copy.deepcopy(before), IMAGES)
    assert all(layer.equal and layer.traceable == 1 for layer in change)
    assert change.verdict.startswith("Nothing changed")
    assert not change.strangers


@pytest.mark.parametrize("network", [Residual, Mobile, Dense, Plain])
def test_every_kind_of_network(network: type[nn.Module]) -> None:
    before = made(network)
    change = desali.lineage(before, shaken(before, 0.1), IMAGES, PATIENTS)
    assert len(change) >= 3
    assert change[change.layers[0]].traceable > 0.9
    assert not change.strangers
    unrelated = desali.lineage(before, made(network, 8), IMAGES, PATIENTS)
    assert unrelated.strangers
    assert "share no ancestor" in unrelated.verdict
    layer = unrelated[unrelated.layers[0]]
    assert len(layer.null) == 5
    assert layer.traceable <= 0.25


def test_a_layer_that_no_relu_reads_is_not_followed() -> None:
    change = desali.lineage(made(Mobile), shaken(made(Mobile), 0.1), IMAGES, random_networks=0)
    assert change.layers == ["stem.1", "depthwise.2", "expand.1"]
    with pytest.raises(desali.DesaliError, match="unknown layer 'bottleneck'"):
        change["bottleneck"]
    with pytest.raises(KeyError):
        change["bottleneck"]


def test_half_of_a_joined_layer_is_frozen(real_data: Path) -> None:
    before = desali_squeezenet(real_data)
    after = copy.deepcopy(before)
    with torch.no_grad():
        half: Any = after.get_submodule("fire2.expand3x3")
        half.weight += 0.01
    layer = desali.lineage(before, after, lung(real_data, 8), layers=["fire2"], random_networks=0)["fire2"]
    assert layer.name == "fire2.expand_relu"
    assert (layer.state[:64] == "frozen").all()
    assert (layer.state[64:] != "frozen").all()
    assert not layer.equal


def test_replicates_tell_kept_from_reshaped() -> None:
    parent = plain()
    after, again = shaken(parent, 0.3, 1), shaken(parent, 0.3, 2)
    alone = desali.lineage(parent, after, IMAGES, PATIENTS)
    assert {word for layer in alone for word in layer.state} <= {"traceable", "lost", "faint", "silenced", "woken",
                                                                 "silent throughout"}  # fmt: skip
    assert all(layer.replicate == () and layer.no_difference is None for layer in alone)
    assert any("No replicates" in note for note in alone.notes)
    change = desali.lineage(parent, after, IMAGES, PATIENTS, replicates=[again])
    assert not any("No replicates" in note for note in change.notes)
    for layer, other in zip(change, alone, strict=True):
        assert layer.traceable == other.traceable
        assert layer.floor is not None
        kept, reshaped = layer.state == "kept", layer.state == "reshaped"
        assert kept.any()
        assert (layer.correlation[kept] >= layer.floor).all()
        assert (layer.correlation[reshaped] < layer.floor).all()
        assert (other.state[kept | reshaped] == "traceable").all()
    small = desali.lineage(parent, shaken(parent, 0.05, 3), IMAGES, PATIENTS, replicates=[again])
    assert all(layer.no_difference for layer in small)
    assert "no difference shown at" in small.verdict


def test_the_order_of_images_changes_no_number() -> None:
    before, after = made(Residual), shaken(made(Residual), 0.3)
    order = torch.randperm(len(IMAGES), generator=torch.Generator().manual_seed(2))
    for groups in (None, PATIENTS):
        moved = None if groups is None else [groups[k] for k in order]
        one = desali.lineage(before, after, IMAGES, groups, random_networks=1)
        other = desali.lineage(before, after, IMAGES[order], moved, random_networks=1)
        assert one.to_dict() == other.to_dict()


def test_seeds_and_images_are_in_the_record() -> None:
    before, after = plain(), shaken(plain(), 0.1)
    record = desali.lineage(
        before, after, IMAGES, PATIENTS, labels=["a", "b"] * 12, random_networks=3, seed=7
    ).to_dict()
    assert len(set(record["random"]["seeds"])) == 3
    assert record["random"]["seed"] == 7
    assert record["images"]["patients"] == 6
    assert record["images"]["classes"] == {"a": 12, "b": 12}
    assert record["interval"]["blocks"] == 6
    again = desali.lineage(before, after, IMAGES, PATIENTS, labels=["a", "b"] * 12, random_networks=3, seed=7).to_dict()
    assert record == again
    other = desali.lineage(before, after, IMAGES, PATIENTS, random_networks=3, seed=8).to_dict()
    assert other["random"]["seeds"] != record["random"]["seeds"]
    weights = {name: entry["weights_sha256"] for name, entry in record["networks"].items()}
    assert weights["before"] != weights["after"]


def test_models_are_left_as_they_are() -> None:
    before, after = made(Residual), shaken(made(Residual), 0.1)
    kept = copy.deepcopy(after.state_dict())
    state = torch.random.get_rng_state()
    desali.lineage(before, after, IMAGES)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(kept[name], value) for name, value in after.state_dict().items())
    assert not after.training
