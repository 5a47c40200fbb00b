"""Every case runs end to end at tiny size; no test here looks at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import desali
from benchmarks.cases import CASES
from benchmarks.context import Context
from benchmarks.measuring import TOLERANCE
from benchmarks.memory import kept_by_autograd
from benchmarks.models import build
from benchmarks.operations import path_taken
from benchmarks.runner import default_output, run
from benchmarks.stored import best
from desali import ops
from desali.errors import UnknownNameError


def _sound(result: dict[str, Any]) -> None:
    """Timed, equal, and with every baseline of its targets measured."""
    names = [entry["name"] for entry in result["entries"]]
    assert set(result["ours"]) <= set(names)
    for entry in result["entries"]:
        if result["kind"] == "memory":
            assert entry["facts"]["bytes"] > 0
        else:
            assert 0 < entry["q1"] <= entry["median"] <= entry["q3"]
        assert entry["difference"] is None or entry["difference"] < TOLERANCE
    own = [entry for entry in result["entries"] if entry["name"] in result["ours"]]
    assert all(entry["difference"] is not None for entry in own)
    for target in result["targets"]:
        assert set(target["against"]) <= set(names)
        assert best(result, target["against"]) is not None


def test_the_shared_cases_are_sound(measured: dict[str, Any]) -> None:
    assert {result["case"] for result in measured["results"]} == set(measured["seconds"])
    for result in measured["results"]:
        _sound(result)
    assert measured["machine"]["threads"] == torch.get_num_threads()


@pytest.mark.parametrize("name", ["top9", "layer", "figure", "drawn", "workers"])
def test_the_other_jobs_are_sound(name: str) -> None:
    for result in run([name], "tiny")["results"]:
        _sound(result)


def test_no_case_is_left_out(measured: dict[str, Any]) -> None:
    assert {*measured["seconds"], "top9", "layer", "figure", "drawn", "workers"} == set(CASES)


def test_an_unknown_case_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown case 'neuron': did you mean 'neurons'"):
        run(["neuron"], "tiny")


def test_a_partial_run_has_a_file_of_its_own() -> None:
    level = ops.describe().get("simd")
    cpu = f"cpu-{level}" if level else "cpu"
    names = [
        default_output(*given).name for given in ((None, "cpu", False), (None, "cpu", True), (["top9"], "cuda", False))
    ]
    assert names == [f"{cpu}.json", f"{cpu}-quick.json", "cuda-top9.json"]


def test_a_scale_picks_its_value() -> None:
    assert [Context(scale).pick(1, 2, 3) for scale in ("full", "quick", "tiny")] == [1, 2, 3]


def test_the_kernel_that_ran_is_seen() -> None:
    signal, weight = torch.randn(1, 1, 4, 5, 5), torch.randn(4, 3, 3, 3)
    assert path_taken(lambda: ops.conv_transpose(signal, weight, map_size=(7, 7), backend="torch")) == "torch"
    assert path_taken(lambda: signal + 1) == "native"


def test_autograd_keeps_the_outputs_of_the_relus() -> None:
    net = build("alexnet-tiny")
    images = net.images(1)
    frozen, output = kept_by_autograd(net, images, frozen=True)
    trainable, _ = kept_by_autograd(net, images, frozen=False)
    rectified = sum(
        desali.record(net.module, images).activation(name).numel() * 4
        for name in ("features.1", "features.4", "features.7")
    )
    assert rectified < frozen <= trainable
    torch.testing.assert_close(output, net.module(images))
    assert not any(parameter.requires_grad for parameter in net.module.parameters())


def test_networks_have_the_published_geometry() -> None:
    from benchmarks.models import alexnet, vgg16

    with torch.device("meta"):
        counts = [sum(parameter.numel() for parameter in make().parameters()) for make in (alexnet, vgg16)]
    assert counts == [61_100_840, 138_357_544]
    assert torch.equal(build("alexnet-tiny").module.features[0].weight, build("alexnet-tiny").module.features[0].weight)
