"""Whatever changes, and however: a new recording is right, and an old one either is or says "record again"."""

from __future__ import annotations

import copy
import ctypes
import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import desali
from desali.errors import DesaliError
from desali.ops import contents
from desali.reversal.graph.freshness import Watch
from desali.reversal.graph.share import adopt
from desali.reversal.graph.state import State
from tests.networks import images

SEED = desali.Seed.layer()


class Small(nn.Module):
    """Two convolutions with a batch normalisation and a linear layer, all exact in 16 bits."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, bias=False)
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm(self.first(x)))
        y = F.relu(self.second(F.max_pool2d(y, 2)))
        out: Tensor = self.last(y.mean((2, 3)))
        return out


def small(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return Small().eval().bfloat16().float()


def chosen(model: nn.Module, which: int) -> nn.Parameter:
    parameters = list(model.parameters())
    return parameters[which % len(parameters)]


def flat(tensor: Tensor, at: int) -> int:
    return at % tensor.numel()


def in_a_row(tensor: Tensor) -> Tensor:
    """The values in the order of their memory, whatever the strides."""
    return tensor.as_strided((tensor.numel(),), (1,))


def in_place(model: nn.Module, which: int, at: int) -> None:
    with torch.no_grad():
        in_a_row(chosen(model, which))[flat(chosen(model, which), at)] += 1


def through_data(model: nn.Module, which: int, at: int) -> None:
    weight = chosen(model, which)
    in_a_row(weight.data)[flat(weight, at)] += 1


def through_numpy(model: nn.Module, which: int, at: int) -> None:
    weight = chosen(model, which)
    in_a_row(weight.detach()).numpy()[flat(weight, at)] += 1


def through_an_address(model: nn.Module, which: int, at: int) -> None:
    weight = chosen(model, which)
    ctypes.c_float.from_address(weight.data_ptr() + 4 * flat(weight, at)).value += 1


def mirrored(model: nn.Module, which: int, at: int) -> None:
    weight = chosen(model, which).data
    weight.copy_(weight.flip(at % weight.dim()).clone())


def rolled(model: nn.Module, which: int, at: int) -> None:
    weight = chosen(model, which).data
    weight.copy_(weight.roll(1 + at % 3, 0).clone())


def swapped(model: nn.Module, which: int, at: int) -> None:
    """Two values change places: every sum stays as it was."""
    weight = in_a_row(chosen(model, which).data)
    one, other = flat(weight, at), flat(weight, at * 7 + 1)
    weight[one], weight[other] = weight[other].clone(), weight[one].clone()


def turned(model: Any, which: int, at: int) -> None:
    """Other strides on the same memory."""
    weight = [model.first, model.second][which % 2].weight
    weight.data = weight.data.transpose(2, 3)


def reassigned(model: Any, which: int, at: int) -> None:
    model.second.weight = nn.Parameter(model.second.weight.detach().flip(0))


def there_and_back(model: nn.Module, which: int, at: int) -> None:
    with torch.no_grad():
        chosen(model, which).mul_(-1)
    model.double().float()


def statistics(model: Any, which: int, at: int) -> None:
    model.norm.running_mean.numpy()[at % 8] += 1


def at_a_dead_ones_address(model: Any, which: int, at: int) -> None:
    """A new parameter on the memory of the old one, whose place it may take in Python too."""
    memory = model.second.weight.data
    model.second.weight = None
    gc.collect()
    memory.mul_(-1)
    model.second.weight = nn.Parameter(memory)


def nothing(model: nn.Module, which: int, at: int) -> None:
    pass


WRITES: list[Callable[[Any, int, int], None]] = [
    in_place, through_data, through_numpy, through_an_address, mirrored, rolled, swapped, turned, reassigned,
    there_and_back, statistics, at_a_dead_ones_address, nothing,
]  # fmt: skip
Write = tuple[Callable[[Any, int, int], None], int, int]
STEPS = st.lists(st.tuples(st.sampled_from(WRITES), st.integers(0, 6), st.integers(0, 500)), min_size=1, max_size=4)


def maps_of(recording: desali.Recording) -> list[Tensor]:
    methods = ("desalinet", "saliency")
    return [recording.reconstruct(layer, SEED, method) for layer in ("last", "second") for method in methods]


def right(model: nn.Module, x: Tensor, **options: Any) -> list[Tensor]:
    """What a copy says of which nothing but the structure is known."""
    other = copy.deepcopy(model)
    adopt(other, model)
    recording = desali.record(other, x.clone(), **options)
    return [recording.output, *maps_of(recording)]


def equal(got: list[Tensor], expected: list[Tensor]) -> bool:
    return len(got) == len(expected) and all(map(torch.equal, got, expected))


def old_answer(recording: desali.Recording, before: list[Tensor]) -> bool:
    """Whether a recording still gives the maps that it gave before, or says that it cannot."""
    try:
        return equal(maps_of(recording), before[1:])
    except DesaliError as error:
        return "record again" in str(error)


@settings(max_examples=25)
@given(STEPS)
def test_every_kind_of_write(writes: list[Write]) -> None:
    check_writes(writes, fold=False)


@pytest.mark.parametrize("write", WRITES)
def test_every_kind_of_write_with_folded_batch_norm(write: Callable[[Any, int, int], None]) -> None:
    check_writes([(write, 1, 3)], fold=True)


def check_writes(writes: list[Write], fold: bool) -> None:
    """Whatever was written, a recording gives the right answer, its own old one, or says that it cannot."""
    model, x = small(), images(2)
    for write, which, at in writes:
        recording = desali.record(model, x, fold_batch_norm=fold)
        before = [recording.output, *maps_of(recording)]
        assert equal(before, right(model, x, fold_batch_norm=fold))
        write(model, which, at)
        now = right(model, x, fold_batch_norm=fold)
        if fold or write is nothing or equal(now, before):  # a folded copy shares only a part of the parameters
            assert old_answer(recording, before)
        else:
            with pytest.raises(DesaliError, match="record again"):
                maps_of(recording)
            with pytest.raises(DesaliError, match="record again"):
                recording.activation("second")
        again = desali.record(model, x, fold_batch_norm=fold)
        assert equal([again.output, *maps_of(again)], now)


def test_permuted_weights_that_keep_their_sums() -> None:
    """Colours exchanged, filters mirrored and rolled: with values exact in 16 bits no sum shows it."""
    x = images(2)
    for change in (lambda w: w.flip(1), lambda w: w.flip(3), lambda w: w.roll(1, 2), lambda w: w.flip(0)):
        model = small()
        maps_of(desali.record(model, x))
        for weight in (model.first.weight.data, model.second.weight.data):
            weight.copy_(change(weight).clone())
        recording = desali.record(model, x)
        assert equal([recording.output, *maps_of(recording)], right(model, x))


@pytest.mark.parametrize("size", [12, 200])
def test_images_written_through_their_numpy_buffer(size: int) -> None:
    model = small()
    pixels = torch.randn(2, 3, size, size).numpy()
    recording = desali.record(model, torch.from_numpy(pixels))
    recording.reconstruct("last", SEED)
    assert recording.activation("second").dim() == 4
    pixels[1, 2, size // 2, 3] += 1
    with pytest.raises(DesaliError, match="record again"):
        recording.activation("second")
    pixels *= -1
    with pytest.raises(DesaliError, match="record again"):
        recording.reconstruct("last", desali.Seed.logit(1))


def test_writes_of_another_process(tmp_path: Path) -> None:
    model, x, file = small(), images(2), tmp_path / "weights"
    weight = model.second.weight
    weight.data.numpy().tofile(file)
    shared = torch.from_file(str(file), shared=True, size=weight.numel()).view(weight.shape)
    model.second.weight = nn.Parameter(shared)
    recording = desali.record(model, x)
    maps_of(recording)
    code = f"import numpy; m = numpy.memmap({str(file)!r}, 'float32', 'r+'); m[:] = m[::-1].copy(); m.flush()"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    with pytest.raises(DesaliError, match="record again"):
        maps_of(recording)
    again = desali.record(model, x)
    assert equal([again.output, *maps_of(again)], right(model, x))


def large() -> Any:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
    ).eval()


def one_unseen_value(weight: Tensor) -> int:
    """A place in a large weight that a glance does not read."""
    glance = contents.fingerprint(weight, contents.WHOLE)
    for at in range(0, weight.numel(), 999):
        old = float(weight.view(-1)[at])
        weight.view(-1)[at] = old + 1
        unseen = contents.fingerprint(weight, contents.WHOLE) == glance
        weight.view(-1)[at] = old
        if unseen:
            return at
    raise AssertionError


def test_a_few_values_of_a_large_weight() -> None:
    """Too large to be read by `record`: the packed copy tells, and a forward pass decides when it happened."""
    model, x = large(), torch.randn(1, 3, 12, 12)
    seed = desali.Seed.neuron(5, 1, 1)
    weight = model[2].weight.data
    at = one_unseen_value(weight)
    assert Watch(State(model), most=1000)._larger == []
    desali.record(model, x).reconstruct("3", seed, "saliency")
    weight.view(-1)[at] += 1
    after = desali.record(model, x)
    expected = desali.record(copy.deepcopy(model), x).reconstruct("3", seed, "saliency")
    assert torch.equal(after.reconstruct("3", seed, "saliency"), expected), "written before: packed anew"
    last = desali.record(model, x)
    weight.view(-1)[at] += 1
    with pytest.raises(DesaliError, match="record again"):
        last.reconstruct("3", seed, "saliency")
    third = desali.record(model, x).reconstruct("3", seed, "saliency")
    assert torch.equal(third, desali.record(copy.deepcopy(model), x).reconstruct("3", seed, "saliency"))
    with pytest.raises(DesaliError, match="record again"):
        after.reconstruct("3", seed, "saliency")


def test_exchanged_hooks_and_settings() -> None:
    model, x = small(), images(2)
    for factor in (2.0, 3.0):
        handle = model.first.register_forward_hook(lambda _m, _i, output, factor=factor: output * factor)
        with torch.no_grad():
            assert torch.equal(desali.record(model, x).output, model(x))
        handle.remove()
    model.second.padding = (1, 1)
    with torch.no_grad():
        assert torch.equal(desali.record(model, x).output, model(x))


class Attributes(nn.Module):
    """A forward pass that reads containers and tensors that are no buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.scales = {"now": 1.0, "later": [2.0]}
        self.pair = ([1.0], torch.ones(()))
        self.plain = torch.ones(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        factor = self.scales["now"] * self.scales["later"][0] * self.pair[0][0] * self.pair[1]  # type: ignore[index,operator]
        return F.relu(self.conv(x) * factor * self.plain)


def test_what_is_written_into_attributes() -> None:
    model, x = Attributes().eval(), images(2)
    changes: list[Callable[[], Any]] = [
        lambda: None,
        lambda: model.scales.__setitem__("now", -2.0),
        lambda: model.scales["later"].__setitem__(0, 3.0),  # type: ignore[attr-defined]
        lambda: model.pair[0].__setitem__(0, -1.5),
        lambda: model.pair[1].numpy().fill(-0.5),
        lambda: model.plain.numpy().__setitem__(2, -7),
        lambda: model.plain.data.mul_(2),
    ]
    for change in changes:
        change()
        with torch.no_grad():
            assert torch.equal(desali.record(model, x).output, model(x))


def test_a_watch_and_what_is_known_keep_no_model_alive() -> None:
    model = small()
    gone, weight = weakref.ref(model), weakref.ref(model.second.weight)
    watch, structure = Watch(State(model)), State(model).structure
    assert watch.holds(State(model), whole=True)
    old = model.second.weight.data
    model.second.weight = None
    gc.collect()
    assert weight() is None
    model.second.weight = nn.Parameter(old)
    assert not watch.holds(State(model)), "another object on the same memory"
    del model
    gc.collect()
    assert gone() is None
    assert structure == structure


def test_structures_are_worked_out_once() -> None:
    model = small()
    first = State(model).structure
    assert State(model).structure is first
    model.second.weight.data.mul_(2)
    assert State(model).structure is first, "values are no part of it"
    model.second.dilation = (2, 2)
    assert State(model).structure != first


def test_affordable_tensors_are_the_smallest() -> None:
    model = nn.Sequential(nn.Linear(100, 100), nn.Linear(200, 200), nn.Linear(100, 100), nn.Linear(9, 9))
    state = State(model)
    sizes = [100 * 100 * 4, 200 * 200 * 4]
    assert state.affordable(sizes[0] - 1) == []
    assert state.affordable(sizes[0]) == [0]
    assert state.affordable(2 * sizes[0]) == [0, 4]
    assert state.affordable(2 * sizes[0] + sizes[1]) == [0, 4, 2]
