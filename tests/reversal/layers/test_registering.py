"""Kinds of layers from outside: by operator, by custom operator, by module; and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import desali
from desali.errors import DesaliError, LayerError, MethodError, UnsupportedLayerError
from desali.reversal.graph.share import adopt
from desali.reversal.layers import (
    Adjoint,
    Arrivals,
    Call,
    Context,
    Layer,
    Node,
    WholeMaps,
    everything,
    pointwise,
    register_layer,
    registered,
    unregister_layer,
    windows,
)
from desali.reversal.layers.registry import registered_kinds
from desali.reversal.methods import Method
from desali.reversal.signals import Signal
from tests.networks import difference

DTYPE = torch.float64


class Blur(nn.Module):
    """Channels as images of their own, smoothed; a factor to learn."""

    def __init__(self, around: int = 1) -> None:
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0])
        self.around = around
        self.register_buffer("kernel", torch.outer(row, row)[None, None] / 16)
        self.factor = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        n, c, height, width = x.shape
        kernel: Any = self.kernel
        y = F.conv2d(x.reshape(n * c, 1, height, width), kernel, padding=self.around)
        return y.reshape(n, c, *y.shape[2:]) * self.factor


class Smoothing(Adjoint):
    """A `Blur` as one layer."""

    modules = (Blur,)
    batchwise = True

    def __init__(self, around: int) -> None:
        self.around = around

    @classmethod
    def recognise(cls, call: Call) -> Smoothing:
        return cls(int(call.module.around))  # type: ignore[union-attr,arg-type]

    def needs_inputs(self, rule: Method) -> bool:
        return False

    def reach(self, node: Any, source: Any, cells: Any) -> Any:
        return windows(3, padding=self.around)(self, node, source, cells)


@dataclass(frozen=True)
class Leaky(WholeMaps):
    """A leaky ReLU that leaks backwards too."""

    slope: float

    names = ("leaky_relu",)
    rectifies = batchwise = True
    reach = pointwise

    @classmethod
    def recognise(cls, call: Call) -> Leaky:
        return cls(float(call.get(1, "negative_slope", 0.01)))

    def backward(self, signal: Tensor, x: Tensor, method: Method) -> Tensor:
        if method.relu_mask:
            signal = torch.where(x.unsqueeze(1) > 0, signal, self.slope * signal)
        if method.relu_backward:
            signal = torch.where(signal > 0, signal, self.slope * signal)
        return signal


class Network(nn.Module):
    """A blur used twice between convolutions."""

    def __init__(self, blur: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.blur, self.last = nn.Conv2d(3, 4, 3), blur, nn.Conv2d(4, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.blur(self.blur(F.relu(self.first(x))))))


def some_images(n: int = 3) -> Tensor:
    return torch.randn(n, 3, 14, 13, dtype=DTYPE, generator=torch.Generator().manual_seed(4))


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Any:
    before = registered_kinds()
    yield
    assert registered_kinds() == before


def test_a_module_is_one_layer() -> None:
    model, x = Network(Blur()).to(DTYPE).eval(), some_images()
    plain = desali.record(model, x)
    seeds = [desali.Seed.top(3), desali.Seed.layer(), desali.Seed.neuron(1, 4, 4)]
    expected = {method: plain.reconstruct("last", seeds, method) for method in ("desalinet", "saliency", "FTT")}
    with registered(Smoothing):
        recording = desali.record(model, x)
        assert recording.layers == ["first", "relu_fn", "blur", "blur:1", "relu_fn:1", "last"]
        assert torch.equal(recording.output, plain.output)
        assert torch.equal(recording.activation("blur:1"), plain.activation("blur:1"))
        assert recording.receptive_field("blur", (4, 4)) == (3, 3, 5, 5)
        assert recording.receptive_field("blur:1", (4, 4)) == (2, 2, 7, 7)
        assert recording.receptive_field("last", (4, 4)) == (2, 2, 9, 9)
        for method, maps in expected.items():
            assert difference(recording.reconstruct("last", seeds, method), maps) < 1e-12
            assert difference(recording.reconstruct("last", seeds, method, crop=False), maps) < 1e-12
        with pytest.raises(DesaliError) as error:
            recording.reconstruct("last", seeds, max_bytes=1)
        least = int(str(error.value).split("needs ")[1].split()[0])
        assert difference(recording.reconstruct("last", seeds, max_bytes=least), expected["desalinet"]) < 1e-12
    assert desali.record(model, x).network is plain.network, "what was captured before holds again"


def test_settings_of_the_module_are_read() -> None:
    with registered(Smoothing):
        recording = desali.record(Network(Blur(0)).to(DTYPE).eval(), some_images())
    assert recording.receptive_field("blur", (4, 4)) == (4, 4, 5, 5)


def test_models_that_share_a_capture_keep_their_own_weights() -> None:
    first, second = (Network(Blur()).to(DTYPE).eval() for _ in range(2))
    with torch.no_grad():
        second.blur.factor.fill_(-2.0)  # type: ignore[union-attr,operator]
        second.first.weight.mul_(0.5)
    x = some_images()
    alone = desali.record(second, x).reconstruct("last", desali.Seed.layer(), "saliency")
    with registered(Smoothing):
        desali.record(first, x)
        adopt(second, first)
        recording = desali.record(second, x)
        assert len(recording.layers) == 6
        with torch.no_grad():
            assert torch.equal(recording.output, second(x))
        assert difference(recording.reconstruct("last", desali.Seed.layer(), "saliency"), alone) < 1e-12


class Declining(Smoothing):
    @classmethod
    def recognise(cls, call: Call) -> Any:
        return super().recognise(call) if call.module.around else None  # type: ignore[union-attr]


def test_a_kind_may_decline_a_module() -> None:
    x = some_images()
    with registered(Declining):
        assert layers(Network(Blur(1)).to(DTYPE).eval(), x).count("Declining") == 2
        model = Network(Blur(0)).to(DTYPE).eval()
        declined = layers(model, x)
    assert declined == layers(model, x)


def layers(model: nn.Module, x: Tensor) -> list[str]:
    """What the layers of a network are, for messages."""
    nodes = desali.record(model, x).network.nodes
    return [node.operation.label for node in nodes if node.operation is not None]


class Wide(nn.Module):
    """Modules inside, sizes made outside, and writing in place."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True), nn.BatchNorm2d(4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        y += torch.ones(x.shape[0], 1, 1, 1, dtype=x.dtype)
        return y.flatten(2).sort(2).values.view(x.shape)


class Sorting(Adjoint):
    modules = (Wide,)
    reach = everything

    @classmethod
    def recognise(cls, call: Call) -> Sorting:
        return cls()


def test_modules_with_modules_inside() -> None:
    model, x = Network(Wide()).to(DTYPE).eval(), some_images()
    expected = desali.record(model, x).reconstruct("last", desali.Seed.top(2), "saliency")
    with registered(Sorting):
        recording = desali.record(model, x)
        assert recording.layers == ["first", "relu_fn", "blur", "blur:1", "relu_fn:1", "last"]
        assert difference(recording.reconstruct("last", desali.Seed.top(2), "saliency"), expected) < 1e-12
        leaf = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(leaf)[:, 1, 2, 3].sum(), leaf)
        maps = recording.reconstruct("last", desali.Seed.neuron(1, 2, 3), "saliency")
        assert difference(maps[:, 0], gradient) < 1e-12


class Two(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.sigmoid(), x.tanh()


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.two, self.add = nn.Conv2d(3, 4, 3), Two(), Add()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.add(*self.two(self.first(x))))


class Add(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Two, "module 'two' (Two), which Claim claims as one layer, gives more than one value"),
        (Add, "module 'add' (Add), which Claim claims as one layer, reads 2 tensors that depend on the image"),
    ],
)
def test_a_module_of_another_form_is_refused(module: type[nn.Module], words: str) -> None:
    class Claim(Adjoint):
        modules = (module,)
        reach = pointwise

        @classmethod
        def recognise(cls, call: Call) -> Claim:
            return cls()

    with registered(Claim), pytest.raises(UnsupportedLayerError, match=re.escape(words)) as error:
        desali.record(Both().to(DTYPE).eval(), some_images())
    assert "\n" not in str(error.value)


class Leaking(nn.Sequential):
    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.1), nn.Conv2d(4, 3, 3), nn.LeakyReLU(0.1, inplace=True))


def test_a_rule_by_the_name_of_an_operator() -> None:
    model, x = Leaking().to(DTYPE).eval(), some_images()
    with pytest.raises(MethodError, match="has none"):
        desali.reconstruct(model, x, "3", desali.Seed.layer())
    leaf = x.clone().requires_grad_()
    value = model(leaf)
    signals = torch.randn(value.shape, dtype=DTYPE, generator=torch.Generator().manual_seed(5))
    seeds = [desali.Seed.layer(), desali.Seed.neuron(0, 4, 4), desali.Seed.tensor(signals)]
    (gradient,) = torch.autograd.grad(value, leaf, value.detach(), retain_graph=True)
    with registered(Leaky):
        recording = desali.record(model, x)
        maps = recording.reconstruct("3", seeds, "saliency")
        assert difference(maps[:, 0], gradient) < 1e-12
        maps = recording.reconstruct("3", seeds, "FTT")
        signal = value.detach()
        for layer in (3, 2, 1, 0):
            module = model[layer]
            if isinstance(module, nn.LeakyReLU):
                signal = torch.where(signal > 0, signal, 0.1 * signal)
            else:
                signal = F.conv_transpose2d(signal, module.weight.detach())  # type: ignore[arg-type,operator]
        assert difference(maps[:, 0], signal) < 1e-12
        assert difference(recording.reconstruct("3", seeds, "FTT", crop=False), maps) < 1e-12
        only = Method(False, True, True, only=["1"])
        assert difference(recording.reconstruct("3", seeds, only), maps) > 1e-3
    with pytest.raises(MethodError, match="has none"):
        desali.reconstruct(model, x, "3", desali.Seed.layer())


class Counted(Layer):
    """A ReLU of the user's: keeps a mask of its own and says aloud that it was asked."""

    names = ("relu",)
    rectifies = True
    reach = pointwise

    @classmethod
    def recognise(cls, call: Call) -> Counted:
        return cls()

    def record(self, recorder: Any, node: Node, x: Tensor, writable: bool) -> tuple[Tensor | None, Tensor | None]:
        return None, x > 0

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        from desali.reversal.signals import spread

        mask = spread(context.kept(node).to(signal.tensor.dtype), signal)
        return {node.inputs[0]: Signal(signal.tensor * mask, signal.origin)}

    def needs_inputs(self, rule: Method) -> bool:
        return False


def test_users_come_before_the_built_in_kinds_and_keep_what_they_record() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.ReLU()).to(DTYPE).eval()
    x = some_images()
    plain = desali.record(model, x)
    expected = plain.reconstruct("3", [desali.Seed.top(3), desali.Seed.layer()], "saliency")
    with registered(Counted):
        recording = desali.record(model, x)
        assert all(isinstance(node.operation, Counted) for node in recording.network.relus())
        assert recording.nbytes > plain.nbytes
        maps = recording.reconstruct("3", [desali.Seed.top(3), desali.Seed.layer()], "saliency")
        assert difference(maps, expected) < 1e-12
        with pytest.raises(DesaliError, match=r"layer '3' \(Counted\) does not say whether it can be captured"):
            _captured(recording)


def _captured(recording: desali.Recording) -> None:
    from desali.reversal import replay

    held = replay.on_gpu
    replay.on_gpu = lambda device: True
    try:
        recording.reconstruct("3", desali.Seed.layer(), cuda_graph=True)
    finally:
        replay.on_gpu = held


@torch.library.custom_op("desali_tests::relu", mutates_args=())
def tripled(x: Tensor) -> Tensor:
    return 3 * x


@tripled.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class Tripled(WholeMaps):
    names = ("desali_tests::relu",)
    reach = pointwise

    @classmethod
    def recognise(cls, call: Call) -> Tripled:
        return cls()

    def backward(self, signal: Tensor, x: Tensor, method: Method) -> Tensor:
        return 3 * signal


def test_a_custom_operator_is_not_taken_for_atens_of_the_same_name() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(tripled(self.conv(x)))

    model, x = Own().to(DTYPE).eval(), some_images()
    recording = desali.record(model, x)
    assert len(recording.network.relus()) == 1
    with pytest.raises(UnsupportedLayerError, match="PyTorch knows no derivative of desali_tests::relu"):
        recording.reconstruct(recording.layers[-1], desali.Seed.layer())
    field = recording.receptive_field(recording.layers[-1], (3, 3))
    assert field == (0, 0, 14, 13), "nothing is known of its reach"
    with registered(Tripled):
        recording = desali.record(model, x)
        assert recording.receptive_field(recording.layers[-1], (3, 3)) == (3, 3, 3, 3)
        conv = desali.record(model, x).activation("conv")
        expected = F.conv_transpose2d(9 * conv.clamp(min=0), model.conv.weight.detach())
        maps = recording.reconstruct(recording.layers[-1], desali.Seed.layer())
        assert difference(maps[:, 0], expected) < 1e-12


class Scaling(Adjoint):
    """Batch normalisation that stays where it is."""

    names = ("batch_norm",)
    reach = pointwise

    @classmethod
    def recognise(cls, call: Call) -> Scaling:
        return cls()


def test_what_a_kind_claims_is_not_folded() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).to(DTYPE).eval()
    x = some_images()
    assert desali.record(model, x, fold_batch_norm=True).layers == ["0", "2"]
    with registered(Scaling):
        assert desali.record(model, x, fold_batch_norm=True).layers == ["0", "1", "2"]
    assert desali.record(model, x, fold_batch_norm=True).layers == ["0", "2"]


def without(*answers: str) -> type[Layer]:
    """A kind with answers left out."""
    body: dict[str, Any] = {
        "names": ("leaky_relu",),
        "recognise": classmethod(lambda cls, call: cls()),
        "reverse": lambda self, context, node, signal: {},
        "reach": everything,
    }
    return type("Half", (Layer,), {name: value for name, value in body.items() if name not in answers})


def changed(**body: Any) -> type[Layer]:
    """The same kind with something wrong."""
    return type("Odd", (without(),), body)


REFUSED: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "no reach": (lambda: without("reach"), ["Half does not say how far it reaches", "windows(3, padding=1)"]),
    "no reversal": (lambda: without("reverse"), ["Half does not say how it is reversed", "WholeMaps or Adjoint"]),
    "no recognition": (lambda: without("recognise"), ["Half does not say how it is recognised", "recognise(cls,"]),
    "two missing": (lambda: without("reach", "reverse"), ["how it is reversed nor how far it reaches"]),
    "no rule on whole maps": (
        lambda: type("Half", (WholeMaps,), {"names": ("relu",), "recognise": without().recognise, "reach": pointwise}),
        ["Half does not say how it is reversed", "backward(self, signal, x, method)"],
    ),
    "no reach but None": (lambda: changed(reach=None), ["Odd does not say how far it reaches"]),
    "a number for a reach": (lambda: changed(reach=3), ["Odd does not say how far it reaches"]),
    "recognised by an instance": (lambda: changed(recognise=lambda *_: None), ["Odd.recognise", "@classmethod"]),
    "no names": (lambda: without("names"), ["Half does not say what it is found by", "modules = (Blur,)"]),
    "names as a string": (lambda: changed(names="relu"), ["Odd.names must be a tuple"]),
    "a name with a typing error": (lambda: changed(names=("leaky_rel",)), ["'leaky_rel'", "mean 'leaky_relu'?"]),
    "a name in place": (lambda: changed(names=("leaky_relu_",)), ["'leaky_relu_'", "without an in-place underscore"]),
    "a module that is none": (lambda: changed(modules=(int,)), ["Odd.modules must hold classes derived from"]),
    "every module": (lambda: changed(modules=(nn.Module,)), ["got Module"]),
    "fuses without a way": (lambda: changed(fuses=True), ["Odd says that it fuses", "reverse_with_relu"]),
    "masked": (lambda: changed(masked=True), ["rectifies = True"]),
    "no class of the protocol": (lambda: nn.ReLU, ["takes a class derived from", "got ReLU"]),
    "an instance": (lambda: without()(), ["got an object of class Half"]),
    "a name that is taken": (lambda: type("ReLU", (without(),), {}), ["a kind named ReLU is known already"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_so_in_one_line(case: str) -> None:
    make, words = REFUSED[case]
    with pytest.raises(LayerError) as error:
        desali.register_layer(make())
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_a_kind_is_registered_once() -> None:
    assert register_layer(Leaky) is Leaky
    try:
        with pytest.raises(LayerError, match="Leaky is registered already"):
            register_layer(Leaky)
        again = type("Again", (Smoothing,), {"modules": (Blur,)})
        with registered(Smoothing), pytest.raises(LayerError, match="claims modules of class Blur, as Smoothing does"):
            register_layer(again)
    finally:
        unregister_layer(Leaky)
    with pytest.raises(LayerError, match="Leaky is not registered"):
        unregister_layer(Leaky)


def test_a_reach_that_does_not_fit_says_so() -> None:
    for reach, words in (
        (windows((3, 3, 3)), "windows of 3 dimensions"),
        (lambda self, node, source, cells: cells[1:], "cells of 2 dimensions for a source of shape"),
    ):
        kind = type("Unfit", (Leaky,), {"reach": reach})
        with registered(kind):
            recording = desali.record(Leaking().to(DTYPE).eval(), some_images())
            with pytest.raises(DesaliError, match=words):
                recording.receptive_field("1", (2, 2))


def test_a_rule_that_returns_another_shape_says_so() -> None:
    kind = type("Narrow", (Leaky,), {"backward": lambda self, signal, x, method: signal[..., 1:]})
    with registered(kind):
        recording = desali.record(Leaking().to(DTYPE).eval(), some_images())
        with pytest.raises(UnsupportedLayerError, match=r"layer '1': Narrow.backward must return .* got"):
            recording.reconstruct("2", desali.Seed.layer())


class Loud(WholeMaps):
    """Seven times what arrives, by a rule of its own."""

    modules = (Blur,)
    batchwise = True
    reach = everything

    @classmethod
    def recognise(cls, call: Call) -> Any:
        return cls()

    def backward(self, signal: Tensor, x: Tensor, method: Method) -> Tensor:
        return 7 * signal


def test_a_module_of_two_names_is_claimed_under_both() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = Blur()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.second = self.first

        def forward(self, x: Tensor) -> Tensor:
            return self.second(F.relu(self.conv(self.first(x))))

    torch.manual_seed(0)
    model = Twice().to(DTYPE).eval()
    with registered(Loud):
        recording = desali.record(model, some_images())
    kinds = {node.name: type(node.operation).__name__ for node in recording.network.nodes}
    assert kinds["first"] == kinds["second"] == "Loud"
    plain = nn.Sequential(model.conv, nn.ReLU())
    x = recording.activation("first")
    inner = desali.record(plain.eval(), x).reconstruct("1", desali.Seed.layer(value="one"), "saliency")
    found = recording.reconstruct("second", desali.Seed.layer(value="one"), "saliency")
    assert torch.allclose(found, 49 * inner)


def test_a_rule_may_write_into_what_it_is_given() -> None:
    class Writing(Loud):
        def backward(self, signal: Tensor, x: Tensor, method: Method) -> Tensor:
            x.zero_()
            return signal.mul_(7)

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blur, self.conv = Blur(), nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.conv(x)) + self.blur(x) + x

    torch.manual_seed(0)
    model, images = Branches().to(DTYPE).eval(), some_images()
    seed = torch.ones(3, 1, 3, 14, 13, dtype=DTYPE)
    maps = []
    for kind in (Loud, Writing):
        with registered(kind):
            recording = desali.record(model, images, keep="activations")
            layer = recording.layers[-1]
            maps += [recording.reconstruct(layer, desali.Seed.tensor(seed), "saliency") for _ in range(2)]
    assert all(torch.equal(one, maps[0]) for one in maps)
    assert torch.equal(images, some_images())
    assert torch.equal(seed, torch.ones_like(seed))


def _reversing(answer: Callable[[Context, Node, Signal], Any]) -> type[Layer]:
    def reverse(self: Any, context: Context, node: Node, signal: Signal) -> Any:
        return answer(context, node, signal)

    return type("Wrong", (Smoothing,), {"reverse": reverse, "needs_inputs": lambda self, rule: False})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda context, node, signal: None, "must return a dict of Signals by index of its sources, got NoneType"),
        (lambda context, node, signal: {node.inputs[0]: signal.tensor}, "got a dict of Tensor"),
        (lambda context, node, signal: {0: signal}, r"which are \[3\]; got one for 0"),
        (lambda context, node, signal: {99: signal}, r"which are \[3\]; got one for 99"),
        (
            lambda context, node, signal: {node.inputs[0]: Signal(signal.tensor[..., 1:])},
            r"must give source 3 torch.float64 of shape \[3, 1, 4, 12, 11\], got torch.float64 \[3, 1, 4, 12, 10\]",
        ),
        (lambda context, node, signal: {node.inputs[0]: Signal(signal.tensor.float())}, "got torch.float32"),
    ],
)
def test_a_reversal_that_gives_no_signals_says_so(answer: Any, words: str) -> None:
    with registered(_reversing(answer)):
        recording = desali.record(Network(Blur()).to(DTYPE).eval(), some_images())
        with pytest.raises(UnsupportedLayerError, match=f"layer 'blur': Wrong.reverse .*{words}"):
            recording.reconstruct("blur", desali.Seed.layer())


@pytest.mark.parametrize("answer", [True, Loud])
@pytest.mark.parametrize("claims", [{"modules": (Blur,)}, {"names": ("relu",), "modules": ()}])
def test_a_kind_that_recognises_no_layer_says_so(claims: dict[str, Any], answer: Any) -> None:
    kind = type("Vague", (Loud,), {"recognise": classmethod(lambda cls, call: answer), **claims})
    with registered(kind), pytest.raises(LayerError, match=r"Vague\.recognise must return an instance of Vague"):
        desali.record(Network(Blur()).to(DTYPE).eval(), some_images())


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (lambda x: (2 * x.relu(), None), "gives another value than the module computes (they differ by"),
        (lambda x: (x.relu()[:, :1], None), "gives another value than the module computes (torch.float64 [3, 1"),
        (lambda x: ("no", None), "gives another value than the module computes (a str)"),
        (lambda x: (x.relu_(), None), "writes into x although writable is False"),
        (lambda x: x.relu(), "must return a pair"),
        (lambda x: (None, x[0] > 0), "dimension 0 is the 3 images, got shape [4, "),
        (lambda x: (None, "mask"), "dimension 0 is the 3 images, got 'mask'"),
    ],
)
def test_a_record_that_does_not_keep_to_the_modules_value_says_so(record: Callable[[Tensor], Any], words: str) -> None:
    class Wrong(Counted):
        def record(self, recorder: Any, node: Node, x: Tensor, writable: bool) -> Any:
            return record(x)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).to(DTYPE).eval()
    x = torch.randn(3, 3, 8, 8, dtype=DTYPE)
    before = x.clone()
    with registered(Wrong):
        for _ in range(2):  # it is no better the second time
            with pytest.raises(LayerError, match=r"layer '1': Wrong\.record") as error:
                desali.record(model, x)
            assert words in str(error.value)
    assert torch.equal(x, before)
    assert torch.equal(desali.record(model, x).output, model(x))


def test_a_record_may_give_the_value_and_write_where_it_is_told_to() -> None:
    class Right(Counted):
        def record(self, recorder: Any, node: Node, x: Tensor, writable: bool) -> tuple[Tensor, Tensor]:
            mask = x > 0
            return (x.relu_() if writable else x.relu()), mask

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.ReLU()).to(DTYPE).eval()
    x = some_images()
    with registered(Right):
        assert torch.equal(desali.record(model, x).output, model(x))


class Nothing(nn.Module):
    """Returns its input itself, as a module with nothing to do may."""

    def __init__(self, copy: bool = False) -> None:
        super().__init__()
        self.copy = copy

    def forward(self, x: Tensor) -> Tensor:
        return x.clone() if self.copy else x


class Doubled(WholeMaps):
    modules = (Nothing,)
    reach = pointwise

    @classmethod
    def recognise(cls, call: Call) -> Doubled:
        return cls()

    def backward(self, signal: Tensor, x: Tensor, method: Method) -> Tensor:
        return 2 * signal


def test_a_claimed_module_that_returns_its_input_is_refused() -> None:
    x = some_images()
    with registered(Doubled):
        kept = nn.Sequential(nn.Conv2d(3, 4, 3), Nothing(copy=True), nn.ReLU()).to(DTYPE).eval()
        maps = desali.reconstruct(kept, x, "2", desali.Seed.layer())
        lost = nn.Sequential(kept[0], Nothing(), kept[2]).eval()
        with pytest.raises(LayerError, match=r"module '1' \(Nothing\), which Doubled claims.*returns its input itself"):
            desali.record(lost, x)
        unused = nn.Sequential(kept[0], kept[2]).eval()
        unused.forward = lambda x: unused[1](unused[0](x))  # type: ignore[method-assign]
        unused.add_module("extra", Nothing().eval())
        desali.record(unused, x)
    assert difference(maps, 2 * desali.reconstruct(lost, x, "2", desali.Seed.layer())) < 1e-12
