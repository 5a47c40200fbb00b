"""The protocol of a kind of layer: what the program must know of it, in one class.

An instance stands in a `Node` of a captured network. Three answers have no default, since a silent one would be wrong:
how the kind is recognised, how it is reversed and how far it reaches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from desali.reversal.layers.call import Call
from desali.reversal.layers.reach import Cells, Shaped
from desali.reversal.methods import Method
from desali.reversal.signals import Signal

if TYPE_CHECKING:
    from torch import Tensor, nn

    from desali.ops import WeightCache

Arrivals = dict[int, Signal]
"""The signals that leave a layer downwards, by the index of the node that they go to."""

TorchCall = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
"""A function with its arguments; references stand for tensors."""


class Layer(ABC):
    """A kind of layer; its instances hold what of a call its reversal must know (a frozen dataclass, as a rule).

    Attributes:
        names: names of the operators that may be such a layer: ATen's plain names without an in-place underscore
            ("leaky_relu"), or "library::name" of a custom operator. Several kinds may claim a name: they are asked in
            turn.
        modules: module classes (with their subclasses) that are one layer as a whole, whatever they compute it by.
        rectifies: it acts on the signal by the method's bits `relu_mask` and `relu_backward`, as a ReLU does.
        masked: all that its reversal does is what the bits say with the mask that it recorded, so that the layer above
            may do it in its own pass.
        fuses: `reverse_with_relu` reverses a masked layer below in the same pass.
        batchwise: the reversal treats every image by itself; else all images are reversed together.
        fresh: its value is newly allocated memory, never a view of another value: its only reader may write there.
        repeats: its value is its first input's, element by element.
        smooth: it bends the signal without a rule in the ReLU framework, and is refused until `smooth="gradient"`.
        passes: signals pass it; not so comparisons and indices.
        folding: "norm": a normalisation that can be folded into an "affine" layer before it.
        plain_module: name of the class in `torch.nn` that is this layer in a plain chain, see `plain_call`.
    """

    names: ClassVar[tuple[str, ...]] = ()
    modules: ClassVar[tuple[type[nn.Module], ...]] = ()
    rectifies: ClassVar[bool] = False
    masked: ClassVar[bool] = False
    fuses: ClassVar[bool] = False
    batchwise: bool = False
    fresh: ClassVar[bool] = False
    repeats: ClassVar[bool] = False
    smooth: bool = False
    passes: ClassVar[bool] = True
    folding: ClassVar[Literal["", "norm", "affine"]] = ""
    plain_module: ClassVar[str] = ""

    @classmethod
    @abstractmethod
    def recognise(cls, call: Call) -> Layer | None:
        """The layer that a call is; None leaves the call to other kinds."""

    @abstractmethod
    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        """Carry a signal [N, K, *shape] on the layer's value back to its inputs.

        A signal may be windows of the map instead of whole maps (`Signal.origin`); `signals.whole` makes maps of it.

        Returns:
            A signal for each of `context.sources(node)` that any of it goes to.
        """

    @abstractmethod
    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        """Which cells of one of its sources the given cells of its value read, along each dimension.

        `layers.reach` has ready ones: `everything`, `pointwise` and `windows(kernel, stride, padding, dilation)`.
        """

    def record(self, recorder: Recorder, node: Node, x: Tensor, writable: bool) -> tuple[Tensor | None, Tensor | None]:
        """Called with the first input [N, C, *S] while the forward pass is recorded, if a kind has this method.

        Args:
            writable: x may be written into, nothing else reads it.

        Returns:
            The layer's value, or None to leave that to its own call; and what to keep of the decision, one tensor whose
            dimension 0 is the images', or None. `Context.kept` gives it to `reverse`.
        """
        raise NotImplementedError

    def reverse_with_relu(self, context: Context, node: Node, signal: Signal, relu: Node) -> Arrivals:
        """`reverse` and the reversal of the masked layer below, `relu`, in one; asked for if `fuses`."""
        raise NotImplementedError

    def needs_inputs(self, rule: Method) -> bool:
        """Whether `reverse` reads the values of the inputs under a method: they are computed again for it."""
        return True

    def reason_against_capture(self) -> str | None:
        """None if the reversal can be captured in a CUDA graph, else why not.

        It can if it launches the same kernels on the same shapes whatever the values are, and never waits for the
        device.
        """
        return "does not say whether it can be captured"

    def bends(self, nodes: Sequence[Node], node: Node) -> bool:
        """Whether it decides like a rectifier but keeps its gradient under every method; then the user is told."""
        return False

    @property
    def mask_is_sign(self) -> bool:
        """For a masked kind: whether its mask is [value > 0]."""
        return False

    @property
    def label(self) -> str:
        """Plain name for messages."""
        return type(self).__name__

    @classmethod
    def decides(cls) -> bool:
        """Whether recording must ask it (`record`)."""
        return cls.record is not Layer.record

    @classmethod
    def plain_call(cls, module: Any, own: Callable[[str], Any], x: Any) -> TorchCall | None:
        """What a module of class `plain_module` calls, if it is no more than this layer.

        Args:
            own: gives the reference to a parameter of the module by its name, None if it has none.
            x: the reference to its input.
        """
        return None


class ValueFree(Layer):
    """A kind whose reversal reads no values of its inputs and launches the same kernels whatever they are."""

    batchwise = True

    def needs_inputs(self, rule: Method) -> bool:
        return False

    def reason_against_capture(self) -> None:
        return None


@dataclass(frozen=True)
class Node:
    """One layer of a captured network.

    Attributes:
        index: position in `Network.nodes`.
        name: the layer's name; "" for the image and for all that no signal can be put on.
        module: qualified name of the module whose forward called it.
        operation: what kind of layer it is; None for values that do not depend on the image's values (sizes, computed
            weights).
        call, args, kwargs: how to compute it; references stand for values.
        inputs: indices of the tensors it reads, without repetition.
        shape: its value's shape without the batch dimension, at the size of the capture.
        batched: dimension 0 of its value is the batch (not so inside some attention modules).
    """

    index: int
    name: str
    module: str
    operation: Layer | None
    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    batched: bool = True


@dataclass
class Recorder:
    """What a kind may ask for while a forward pass is recorded.

    Attributes:
        nodes: all nodes of the network.
        backend: "auto", "native" or "torch".
        known: for a kind's own use during this recording, to decide once what holds for all its layers.
    """

    nodes: Sequence[Node]
    backend: str
    known: dict[Any, Any] = field(default_factory=dict)


class Context(Protocol):
    """What a kind may ask for while a signal passes it."""

    @property
    def backend(self) -> str:
        """ "auto", "native" or "torch"."""

    def rule(self, node: Node) -> Method:
        """The method that the layer follows."""

    def shape(self, index: int) -> tuple[int, ...]:
        """[C, *spatial] of a node."""

    def sources(self, node: Node) -> tuple[int, ...]:
        """Indices of the nodes that its signal goes to."""

    def kept(self, node: Node) -> Tensor:
        """What `record` kept, for the images at hand."""

    def inputs(self, node: Node) -> dict[int, Tensor]:
        """The recorded inputs [N, ...] by node index; zeros of their shape if the kind needs none."""

    def parameter(self, name: str) -> Tensor:
        """The model's parameter or buffer of a qualified name."""

    def weight_cache(self, name: str) -> WeightCache:
        """Where the packed copy of a weight is kept from one reversal to the next."""

    def compute(self, node: Node, inputs: dict[int, Tensor]) -> Tensor:
        """The value of a node for other inputs; differentiable."""
