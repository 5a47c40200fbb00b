"""One recorded forward pass: what it knows, what it keeps, and when it refuses."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import desali
from desali import ops
from desali.errors import DesaliError, MethodError, UnknownNameError
from desali.reversal.recording import Keep, Recording
from tests.networks import SIZE, chain, difference, images

DTYPE = torch.float64


@pytest.fixture(scope="module")
def recording() -> Recording:
    return desali.record(chain(DTYPE), images(2, DTYPE))


def hooked(model: nn.Module, layer: str, x: Tensor) -> Tensor:
    seen: list[Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda _m, _i, output: seen.append(output.clone()))
    with torch.no_grad():
        model(x)
    handle.remove()
    return seen[0]


def test_layers_are_the_modules_in_forward_order(recording: Recording) -> None:
    expected = [f"features.{i}" for i in range(9)] + ["flatten_fn"] + [f"classifier.{i}" for i in range(4)]
    assert recording.layers == expected


@pytest.mark.parametrize("keep", ["reversal", "activations"])
@pytest.mark.parametrize("inplace", [False, True])
def test_output_and_activations_are_the_modules_own(keep: str, inplace: bool) -> None:
    model, x = chain(inplace=inplace), images(2)
    recording = desali.record(model, x, keep)  # type: ignore[arg-type]
    with torch.no_grad():
        assert torch.equal(recording.output, model(x))
    for layer in ("features.0", "features.1", "features.2", "features.3", "features.7", "classifier.3"):
        assert torch.equal(recording.activation(layer), hooked(model, layer, x)), layer
    assert torch.equal(recording.activation("features"), recording.activation("features.8"))


def test_an_activation_is_a_fresh_tensor() -> None:
    recording = desali.record(chain(), images(2), keep="activations")
    before = recording.activation("features.5").clone()
    recording.activation("features.5").zero_()
    assert torch.equal(recording.activation("features.5"), before)


@pytest.mark.parametrize("name", sorted(desali.METHODS))
def test_keeping_activations_changes_no_map(recording: Recording, name: str) -> None:
    kept = desali.record(chain(DTYPE), images(2, DTYPE), keep="activations")
    seed = [desali.Seed.top(2), desali.Seed.layer()]
    assert torch.equal(kept.reconstruct("features.8", seed, name), recording.reconstruct("features.8", seed, name))


def test_nbytes_counts_bits_and_bytes() -> None:
    x = images(2)
    recording = desali.record(chain(), x)
    relus = {"features.1": 8, "features.5": 12, "features.8": 10, "classifier.2": 16}
    masks = 0
    for layer, channels in relus.items():
        cells = recording.activation(layer)[0, 0].numel()
        masks += 2 * cells * -(-channels // 8)
    switches = sum(recording.activation(layer).numel() for layer in ("features.2", "features.6"))
    last = recording.nbytes - (masks + switches + recording.output.numel() * 4)
    assert last == 2 * 16 * 4  # the last ReLU's output; the convolutions' do not fit
    assert desali.record(chain(), x, keep="activations").nbytes > 10 * recording.nbytes


def test_layer_shapes(recording: Recording) -> None:
    for layer in ("features.3", "flatten_fn", "classifier"):
        assert recording.shape(layer) == tuple(recording.activation(layer).shape[1:])


def test_on_a_named_device_copies_are_recorded_and_nothing_is_moved() -> None:
    model, given = chain(), images(2)
    expected = desali.record(model, given)
    named = desali.record(model, given, device="cpu")
    assert named.model is model  # it is there already
    assert torch.equal(named.output, expected.output)
    with pytest.raises(UnknownNameError, match="unknown device 'gpu': did you mean 'cuda'"):
        desali.record(model, given, device="gpu")
    with pytest.raises(DesaliError, match="device 'cuda:99'"):
        desali.reconstruct(model, given, "features.1", desali.Seed.layer(), device="cuda:99")


def test_one_call_does_both() -> None:
    model, x = chain(), images(2)
    seed = desali.Seed.top(2)
    direct = desali.reconstruct(model, x, "features.8", seed, "deconvnet", crop=False)
    recording = desali.record(model, x)
    assert torch.equal(direct, recording.reconstruct("features.8", seed, "deconvnet", crop=False))


@given(
    layer=st.sampled_from(["features.0", "features.2", "features.4", "features.6", "features.8", "classifier.0"]),
    name=st.sampled_from(sorted(desali.METHODS)),
    overlap=st.sampled_from(["sum", "overwrite"]),
    lrn=st.sampled_from(["identity", "adjoint"]),
    k=st.integers(1, 4),
)
@settings(max_examples=40)
def test_crop_changes_nothing(recording: Recording, layer: str, name: str, overlap: str, lrn: str, k: int) -> None:
    corner = desali.METHODS[name]
    method = desali.Method(corner.relu_mask, corner.switches, corner.relu_backward, lrn=lrn, overlap=overlap)  # type: ignore[arg-type]
    seeds = desali.Seed.top(k)
    cropped = recording.reconstruct(layer, seeds, method, crop=True)
    assert difference(cropped, recording.reconstruct(layer, seeds, method, crop=False)) < 1e-13


@pytest.mark.parametrize("name", sorted(desali.METHODS))
def test_backends_agree(name: str) -> None:
    if ops.core()[0] is None:
        pytest.skip("NATIVE CORE ABSENT: only the PyTorch backend exists here. This test has checked NOTHING.")
    model, x = chain(), images(2)
    seeds = [desali.Seed.top(3), desali.Seed.layer()]
    for layer in ("features.8", "classifier.3"):
        native = desali.record(model, x, backend="native").reconstruct(layer, seeds, name, backend="native")
        torch_only = desali.record(model, x, backend="torch").reconstruct(layer, seeds, name, backend="torch")
        assert difference(native, torch_only) < 1e-5


def test_the_native_core_is_there_where_it_is_required() -> None:
    if os.environ.get("DESALI_BUILD") != "require":
        pytest.skip("DESALI_BUILD is not 'require': the native core is optional here")
    module, reason = ops.core()
    assert module is not None, reason


@pytest.mark.parametrize("keep", ["reversal", "activations"])
def test_maps_vanish_outside_the_receptive_field(keep: str) -> None:
    recording = desali.record(chain(DTYPE), images(1, DTYPE), keep)  # type: ignore[arg-type]
    for position in ((0, 0), (2, 3), (5, 5)):
        top, left, height, width = recording.receptive_field("features.4", position)
        maps = recording.reconstruct("features.4", desali.Seed.neuron(3, *position), crop=False)
        inside = torch.zeros(SIZE, dtype=torch.bool)
        inside[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = True
        assert maps[..., ~inside].abs().max() == 0
        assert maps[..., inside].abs().max() > 0


def _edit_parameter(model: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        model.get_parameter("features.4.weight").mul_(2)


def _replace_parameter(model: nn.Module, x: Tensor) -> None:
    convolution = model.get_submodule("features.4")
    convolution.weight = nn.Parameter(convolution.weight.detach() * 2)  # type: ignore[arg-type]


def _load_parameters(model: nn.Module, x: Tensor) -> None:
    model.load_state_dict({name: value * 2 for name, value in model.state_dict().items()})


def _edit_images(model: nn.Module, x: Tensor) -> None:
    x.mul_(2)


@pytest.mark.parametrize("change", [_edit_parameter, _replace_parameter, _load_parameters, _edit_images])
def test_changes_after_the_recording_are_refused(change: Callable[[nn.Module, Tensor], None]) -> None:
    model, x = chain(), images(2)
    recording = desali.record(model, x)
    change(model, x)
    with pytest.raises(DesaliError, match="record again"):
        recording.reconstruct("features.8", desali.Seed.neuron(0, 0, 0))
    with pytest.raises(DesaliError, match="record again"):
        recording.activation("features.8")
    fresh = desali.record(model, x)
    with torch.no_grad():
        assert torch.equal(fresh.output, model(x))


def test_a_recording_sees_writes_that_torch_does_not_count() -> None:
    model, x = chain(), images(2)
    seed = desali.Seed.layer()
    before = desali.record(model, x).reconstruct("features.8", seed)
    model.get_parameter("features.4.weight").data[1] *= -2
    got = desali.record(model, x).reconstruct("features.8", seed)
    other = chain()
    other.load_state_dict(model.state_dict())
    assert torch.equal(got, desali.record(other, x).reconstruct("features.8", seed))
    assert not torch.equal(got, before)


def test_bad_arguments_are_refused() -> None:
    model, x = chain(), images(2)
    with pytest.raises(DesaliError, match=r"torch\.nn\.Module"):
        desali.record(lambda y: y, x)  # type: ignore[arg-type]
    with pytest.raises(DesaliError, match=r"\[N, C, \*spatial\]"):
        desali.record(model, x[0, 0])
    with pytest.raises(DesaliError, match="float"):
        desali.record(model, x.to(torch.uint8))
    with pytest.raises(DesaliError, match="at least one image"):
        desali.record(model, x[:0])
    with pytest.raises(DesaliError, match="keep"):
        desali.record(model, x, keep="all")  # type: ignore[arg-type]
    with pytest.raises(DesaliError, match="float32"):
        desali.record(model, x.double())
    recording = desali.record(model, x)
    with pytest.raises(UnknownNameError, match="backend"):
        recording.reconstruct("features.8", desali.Seed.layer(), backend="cuda")
    with pytest.raises(MethodError, match="at least one layer"):
        recording.reconstruct([], desali.Seed.layer())
    with pytest.raises(MethodError, match=r"desali\.Seed\.parse\('top:9'\)"):
        recording.reconstruct("features.8", "top:9")  # type: ignore[call-overload]


def test_a_network_without_relu_is_refused_and_says_what_it_found() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.AvgPool2d(2)).eval()
    with pytest.raises(MethodError, match="Convolution") as error:
        desali.reconstruct(model, images(2), "0", desali.Seed.layer())
    assert "sigmoid" in str(error.value)


def test_only_must_name_relus(recording: Recording) -> None:
    with pytest.raises(MethodError, match=r"features\.0.*features\.1"):
        recording.reconstruct("features.8", desali.Seed.layer(), desali.Method(True, True, True, only=["features.0"]))
    with pytest.raises(UnknownNameError, match="did you mean"):
        recording.reconstruct("features.8", desali.Seed.layer(), desali.Method(True, True, True, only=["features.x"]))


def test_the_network_ends_at_its_output() -> None:
    class Further(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = torch.relu(self.first(x))
            torch.relu(self.second(y))  # of no use to the output
            return y

    torch.manual_seed(0)
    model = Further().eval()
    recording = desali.record(model, torch.randn(2, 3, 9, 9))
    assert recording.layers == ["first", "relu_fn"]
    assert all(recording.reconstruct(layer, desali.Seed.layer()).any() for layer in recording.layers)


@pytest.mark.parametrize("last", [torch.float64, torch.float16, torch.int64])
def test_the_type_of_the_output_does_not_decide_that_of_the_signals(last: torch.dtype) -> None:
    class Cast(nn.Module):
        def __init__(self, to: torch.dtype) -> None:
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(196, 5))
            self.to_type = to

        def forward(self, x: Tensor) -> Tensor:
            return self.features(x).to(self.to_type)

    maps = []
    for to in (torch.float32, last):
        torch.manual_seed(0)
        recording = desali.record(Cast(to).eval(), torch.randn(2, 3, 9, 9))
        seeds = [desali.Seed.layer(), desali.Seed.top(2, value="activation"), desali.Seed.neuron(0, 1, 1)]
        maps.append(recording.reconstruct("features.1", seeds))
    assert torch.equal(*maps)


@pytest.mark.parametrize("keep", ["reversal", "activations"])
def test_copies_and_pickles_are_recordings_of_their_own(keep: Keep) -> None:
    model, x = chain(), images(2)
    recording = desali.record(model, x, keep=keep)
    maps = recording.reconstruct("features.4", desali.Seed.top(2))
    read: Recording = pickle.loads(pickle.dumps(recording))
    for copied in (copy.copy(recording), copy.deepcopy(recording), read):
        assert copied.layers == recording.layers
        assert torch.equal(copied.output, recording.output)
        assert copied.nbytes == recording.nbytes
        assert torch.equal(copied.reconstruct("features.4", desali.Seed.top(2)), maps)
    deep = copy.deepcopy([recording, model])
    assert deep[0].model is deep[1], "what is copied with it belongs to it"
    with torch.no_grad():
        deep[1].get_parameter("features.0.weight").add_(1)
    assert torch.equal(recording.reconstruct("features.4", desali.Seed.top(2)), maps)
    with pytest.raises(DesaliError, match="changed since"):
        deep[0].reconstruct("features.4", desali.Seed.top(2))


@pytest.mark.parametrize("make", [copy.deepcopy, pickle.dumps])
def test_a_recording_of_a_changed_model_is_not_copied(make: Callable[[Recording], Any]) -> None:
    model, x = chain(), images(2)
    recording = desali.record(model, x)
    with torch.no_grad():
        model.get_parameter("features.0.weight").add_(1)
    with pytest.raises(DesaliError, match="changed since"):
        make(recording)


def test_a_model_that_cannot_be_copied_or_pickled_is_named() -> None:
    def local(module: nn.Module, given: Any, value: Tensor) -> None:
        return None

    model = chain()
    model.register_forward_hook(local)
    recording = desali.record(model, images(2))
    with pytest.raises(DesaliError, match=r"Chain cannot be pickled .*; pickle its state_dict and the images"):
        pickle.dumps(recording)
    copy.deepcopy(recording)


@pytest.mark.parametrize("output", [True, 1.5, "", ["a"], torch.ones(1)])
def test_an_output_is_a_position_or_a_name(output: Any) -> None:
    for call in (desali.record, lambda model, x, output: desali.select_output(model, output)):
        with pytest.raises(DesaliError, match="output must be a position or a name"):
            call(chain(), images(2), output=output)


def test_what_is_no_dense_batch_or_no_network_is_refused() -> None:
    x = images(2)
    for odd in (x.to_sparse(), torch.nested.nested_tensor([x[0], x[1]])):
        with pytest.raises(DesaliError, match="images must be a dense tensor"):
            desali.record(chain(), odd)
    with pytest.raises(DesaliError, match=r"got LoadedModel: give its \.model"):
        desali.record(desali.load("squeezenet1_0", "random"), x)  # type: ignore[arg-type]
    with pytest.raises(DesaliError, match=r"must be a torch\.nn\.Module, got int"):
        desali.select_output(3, "a")  # type: ignore[arg-type]
    with pytest.raises(DesaliError, match="Module cannot be captured: it has no forward"):
        desali.record(nn.Module().eval(), x)
