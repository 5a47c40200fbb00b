"""What a recording holds of the forward pass, and that no reconstruction runs the network a second time."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import desali
from desali.errors import DesaliError, UnknownNameError
from desali.models import CaffeNetSmall
from desali.reversal import recording as recorded
from desali.reversal import values
from desali.reversal.values import LAST_SHARE, Again, Need
from tests.networks import chain, images

SEEDS = {
    "layer": desali.Seed.layer(),
    "channel": desali.Seed.channel(1),
    "top": desali.Seed.top(3),
    "neuron": desali.Seed.neuron(1, 0, 0, value="activation"),
}


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every forward pass of a recording."""
    found: list[int] = []
    own = recorded.run

    def counted(*args: Any, **kwargs: Any) -> Any:
        found.append(1)
        return own(*args, **kwargs)

    monkeypatch.setattr(recorded, "run", counted)
    return found


def caffenet() -> nn.Module:
    torch.manual_seed(0)
    return CaffeNetSmall(num_classes=5).eval()


def caffenet_images() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("method", ["desalinet", "deconvnet", "gradient"])
@pytest.mark.parametrize("kind", SEEDS)
def test_one_call_is_one_forward_pass(passes: list[int], kind: str, method: str) -> None:
    model, x = caffenet(), caffenet_images()
    maps = desali.reconstruct(model, x, "features.conv3", SEEDS[kind], method)
    assert len(passes) == 1  # the gradient of LRN reads what came in: it was kept too
    every = desali.record(model, x, "activations")
    assert torch.equal(maps, every.reconstruct("features.conv3", SEEDS[kind], method))


@pytest.mark.parametrize("kind", SEEDS)
def test_named_layers_are_kept(passes: list[int], kind: str) -> None:
    model, x = chain(), images(2)
    recording = desali.record(model, x, keep=["features.0", "features.4"])
    for layer in ("features.0", "features.4"):
        maps = recording.reconstruct(layer, SEEDS[kind])
        assert torch.equal(maps, desali.record(model, x, "activations").reconstruct(layer, SEEDS[kind]))
    assert len(passes) == 3
    assert desali.record(model, x).nbytes < recording.nbytes < desali.record(model, x, "activations").nbytes


def test_the_last_outputs_need_no_second_pass(passes: list[int]) -> None:
    model, x = caffenet(), caffenet_images()
    recording = desali.record(model, x)
    layers = {"features.pool5": desali.Seed.layer(), "classifier.fc8": desali.Seed.contrast()}
    maps = {layer: recording.reconstruct(layer, seed, "deconvnet") for layer, seed in layers.items()}
    assert torch.equal(recording.activation("classifier.drop7"), recording.activation("classifier.relu7"))
    assert len(passes) == 1
    every = desali.record(model, x, "activations")
    for layer, seed in layers.items():
        assert torch.equal(maps[layer], every.reconstruct(layer, seed, "deconvnet")), layer


def test_the_last_outputs_stay_small() -> None:
    for model, x in ((caffenet(), caffenet_images()), (chain(), images(2))):
        recording = desali.record(model, x)
        decisions = sum(kept.nbytes for kept in recording._decisions.values())
        assert decisions < recording.nbytes <= decisions * (1 + 1 / LAST_SHARE) + recording.output.nbytes


def test_what_was_computed_again_is_held_for_the_next_time(passes: list[int]) -> None:
    recording = desali.record(caffenet(), caffenet_images())
    first = recording.reconstruct("features.conv1", desali.Seed.top(2), "gradient")
    before = recording.nbytes
    assert len(passes) == 2
    again = recording.reconstruct("features.conv1", desali.Seed.top(2), "gradient")
    recording.reconstruct("features.conv1", desali.Seed.channel(1))
    recording.activation("features.conv1")
    assert len(passes) == 2
    assert torch.equal(first, again)
    assert recording.nbytes == before


def test_recordings_that_end_leave_nothing_behind() -> None:
    gc.collect()
    before = values.AGAIN.nbytes
    recording = desali.record(chain(), images(2))
    recording.activation("features.0")
    assert values.AGAIN.nbytes >= before + recording.activation("features.0").nbytes
    del recording
    gc.collect()
    assert values.AGAIN.nbytes <= before


def test_the_least_recently_used_goes_first() -> None:
    again = Again(limit=3 * 40)
    tensors = [torch.zeros(10) for _ in range(4)]
    for number in range(3):
        again.hold({(1, number): tensors[number]})
    assert again.find((1, 0)) is tensors[0]
    again.hold({(2, 0): tensors[3]})
    assert again.find((1, 1)) is None
    assert again.find((1, 0)) is tensors[0]
    assert again.find((1, 2)) is tensors[2]
    again.hold({(3, 0): torch.zeros(1000)})  # more than fits: nothing is held
    assert again.nbytes == 0


@pytest.mark.parametrize("keep", ["reversal", "activations", ["features.8"]])
def test_an_output_that_was_written_into_is_not_taken_for_the_networks(keep: Any) -> None:
    model, x = chain(), images(2)
    seed = desali.Seed.contrast()
    right = desali.record(model, x).reconstruct("classifier.3", seed, "gradient")
    writes: list[Callable[[Tensor], Any]] = [Tensor.zero_, lambda output: output.data.neg_()]
    for write in writes:
        recording = desali.record(model, x, keep)
        write(recording.output)
        assert torch.equal(recording.reconstruct("classifier.3", seed, "gradient"), right)


def test_kept_values_are_not_written_into() -> None:
    """The ReLU behind a kept convolution writes its own memory, that behind another writes into the convolution's."""
    model, x = chain(), images(2)
    every = desali.record(model, x, "activations")
    for layer in every.layers:
        assert torch.equal(desali.record(model, x, [layer]).activation(layer), every.activation(layer)), layer


def test_need_names_what_the_gradient_reads() -> None:
    recording = desali.record(caffenet(), caffenet_images())
    network = recording.network
    rule = desali.METHODS["saliency"]
    need = Need(("features.conv2",), ((rule, ("features.conv2",)),))
    names = {network.nodes[index].name for index in need.indices(network)}
    assert names == {"features.conv2", *(network.nodes[network.find("features.norm1").inputs[0]].name,)}


def test_what_cannot_be_kept_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown layer 'features\.88'"):
        desali.record(chain(), images(2), keep=["features.88"])
    for wrong in ("everything", 3, [1], None):
        with pytest.raises(DesaliError, match="keep must be 'reversal', 'activations' or a list"):
            desali.record(chain(), images(2), keep=wrong)  # type: ignore[arg-type]
