"""Record one forward pass, then run the network backwards from any layer, for any seed, as often as wanted."""

from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from desali.errors import DesaliError, MethodError
from desali.ops import contents
from desali.ops.device import capturing, moved, resolve
from desali.output import summary
from desali.reversal.applicability import check_method
from desali.reversal.context import Bottleneck
from desali.reversal.finite import warn_if_not_finite
from desali.reversal.graph import folding
from desali.reversal.graph.capture import capture
from desali.reversal.graph.freshness import Watch
from desali.reversal.graph.network import Network
from desali.reversal.graph.outputs import Output, check_output
from desali.reversal.graph.quiet import quiet
from desali.reversal.graph.run import run
from desali.reversal.graph.state import State
from desali.reversal.graph.structure import tensors
from desali.reversal.graph.unfit import refuse_unfit
from desali.reversal.graph.wrappers import inside_of, unwrapped, without_wrappers
from desali.reversal.layers.base import Node, Recorder
from desali.reversal.methods import Method
from desali.reversal.methods import method as find_method
from desali.reversal.placing import Placed, Points, join, place
from desali.reversal.receptive_field import receptive_field
from desali.reversal.reconstruction import Job, reconstruct_jobs
from desali.reversal.seeds import Seed
from desali.reversal.sweep import steps
from desali.reversal.values import Need, Values, inputs_needed, needs_inputs

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

PAID = 8
"""Of its own values' bytes a recording reads one in so many of the parameters, to see later whether they changed."""

Keep = Literal["reversal", "activations"] | Sequence[str]
Seeds = Seed | Sequence[Seed]


class Recording:
    """One forward pass of a network: what its reversal needs, and the images by reference.

    Attributes:
        network: the captured network.
        output: [N, classes], or whatever the model gives: [N] for one score an image, [N, C, *spatial] for maps.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        keep: Keep | Need,
        backend: str,
        choice: Output = None,
    ) -> None:
        self._keep = keep if isinstance(keep, (str, Need)) else tuple(keep)
        self._wrapped: nn.Module | None = None
        state = State(model)
        if any(map(inside_of, state.kinds)):
            self._wrapped, model = model, without_wrappers(model)
            state = State(model)
        self.network: Network = capture(model, images, state, choice)
        self._structure = state.structure
        self._model = model
        self._images = images.detach()
        self._backend = backend
        self._choice = choice
        self._recorder = Recorder(self.network.nodes, backend)
        self._decisions: dict[int, Tensor] = {}
        self._taken = 0
        self._held = Values(self.network, self._images, _wanted(self._keep, self.network))
        self._names = self.network.tensor_names(model)
        computed = self.network.elements * images.shape[0] * images.element_size()
        self._watch = Watch(state, self._images, computed // PAID)
        self._used = False
        with quiet(images.device):
            self.output, self._fixed = run(
                self.network, state.named(self._names), self._images, self._execute,
                self._see, watched=self._held.watched,
            )  # fmt: skip
        self._held.close(self.output)
        warn_if_not_finite(model, self._images, self.output)

    @property
    def model(self) -> nn.Module:
        """The recorded model, the caller's own; what `torch.compile` or parallel training put around it left out."""
        return self._model

    @property
    def images(self) -> Tensor:
        """The recorded images [N, C, *spatial], the caller's own."""
        return self._images

    @property
    def layers(self) -> list[str]:
        """Names of the layers in forward order."""
        return list(self.network.layers)

    @property
    def nbytes(self) -> int:
        """Bytes of every tensor held, without the parameters (nor their packed copies) and the caller's images."""
        seen: dict[int, int] = {}
        images = self._images.untyped_storage().data_ptr()
        parameters = {t.untyped_storage().data_ptr() for t in [*self._model.parameters(), *self._model.buffers()]}
        held = [self.output, *self._decisions.values(), *self._held.all(), *self._fixed]
        for tensor in (value for value in held if hasattr(value, "untyped_storage")):
            storage = tensor.untyped_storage()
            if storage.data_ptr() != images and storage.data_ptr() not in parameters:
                seen[storage.data_ptr()] = storage.nbytes()
        return sum(seen.values())

    def _facts(self) -> summary.Facts:
        images, output = self._images.shape, self.output.shape
        return [
            ("images", f"{images[0]} x [{summary.shape(images[1:])}]"),
            ("layers", str(len(self.network.layers))),
            ("outputs", summary.shape(output[1:])),
            ("held", summary.if_known(lambda: summary.size(self.nbytes))),
            ("device", str(self._images.device)),
        ]

    def __repr__(self) -> str:
        return summary.line("Recording", type(self._model).__name__, self._facts())

    def _repr_html_(self) -> str:
        layers = ("names", summary.names(self.network.layers))
        return summary.table("Recording", type(self._model).__name__, [*self._facts(), layers])

    def shape(self, layer: str) -> tuple[int, ...]:
        """[C, *spatial] of a layer."""
        return self.network.find(layer).shape

    def activation(self, layer: str) -> Tensor:
        """Output of a layer, [N, C, *spatial]; computed again from the images unless the activations were kept.

        Raises:
            UnknownNameError: no such layer.
            DesaliError: the images or the model changed since the recording.
        """
        return self.activations([layer])[layer]

    def activations(self, layers: Sequence[str]) -> dict[str, Tensor]:
        """Outputs of several layers by name, from one forward pass at most; see `activation`."""
        found = self._activations([self.network.find(layer).index for layer in layers])
        return {layer: value.clone() for layer, value in zip(layers, found, strict=True)}

    def place(self, layers: Sequence[str], seed: Seeds, activations: Mapping[str, Tensor] | None = None) -> Placed:
        """Seeds as numbers for every layer: which neurons `Seed.top` chose, or the signal.

        Args:
            layers: their names.
            seed: one or several.
            activations: of these layers, if they are at hand; they are not computed again then.

        Raises:
            UnknownNameError: no such layer. SeedError: a seed that does not fit a layer.
        """
        nodes = [self.network.find(name) for name in layers]
        if activations is not None:
            known: list[Tensor | None] = [activations[name] for name in layers]
        elif any(one.needs_activation for one in _listed(seed)):
            known = list(self._activations([node.index for node in nodes]))
        else:
            known = [None] * len(nodes)
        return Placed(dict(zip(layers, self._place(nodes, _listed(seed), known), strict=True)))

    def receptive_field(self, layer: str, position: tuple[int, ...]) -> tuple[int, ...]:
        """The window of the image that a neuron of the layer can see.

        Returns:
            (top, left, height, width) in the image's pixels for 2-D images; it may reach outside the image.
        """
        return receptive_field(self.network, self.network.find(layer), tuple(position))

    @overload
    def reconstruct(
        self,
        layer: str,
        seed: Seeds | Placed,
        method: str | Method = ...,
        *,
        max_bytes: int | None = ...,
        backend: str = ...,
        crop: bool = ...,
        cuda_graph: bool | None = ...,
    ) -> Tensor: ...

    @overload
    def reconstruct(
        self,
        layer: list[str] | tuple[str, ...],
        seed: Seeds | Placed,
        method: str | Method = ...,
        *,
        max_bytes: int | None = ...,
        backend: str = ...,
        crop: bool = ...,
        cuda_graph: bool | None = ...,
    ) -> dict[str, Tensor]: ...

    def reconstruct(
        self,
        layer: str | list[str] | tuple[str, ...],
        seed: Seeds | Placed,
        method: str | Method = "desalinet",
        *,
        max_bytes: int | None = None,
        backend: str = "auto",
        crop: bool = True,
        cuda_graph: bool | None = None,
    ) -> Tensor | dict[str, Tensor]:
        """Project seeds on a layer back to image space (Mahendran and Vedaldi 2016, section 2).

        Args:
            layer: a layer's name, a container's (its last operation), or a list of names for one joint sweep.
            seed: what to put on the layer; a list is concatenated along K. Or what `place` made of it.
            method: a name of `METHODS` or a `Method`.
            max_bytes: limit for the signals of a sweep; the seeds are worked off in portions that fit.
            backend: "auto", "native" or "torch".
            crop: work on a neuron's receptive field only; the result is the same.
            cuda_graph: on a GPU, capture the sweep in a CUDA graph and replay it when shapes repeat. True: always, or
                an error that says why not; False: never; None: the environment's DESALI_CUDA_GRAPHS ("on": wherever
                possible, from the second time on; "off", the default: not yet verified on a GPU).

        Returns:
            Maps [N, K, C, *spatial] of the images' size; for a list of layers a dict of them by name.

        Raises:
            UnknownNameError, SeedError, MethodError, UnsupportedLayerError: see the message.
        """
        rule = find_method(method)
        names = [layer] if isinstance(layer, str) else list(layer)
        if not names:
            raise MethodError("reconstruct needs at least one layer and one seed")
        if isinstance(seed, Placed) and not seed.signals.keys() >= set(names):
            there = ", ".join(seed.signals)
            raise MethodError(f"the seed was placed on {there}, not on {', '.join(names)}: place it there")
        seeds = [] if isinstance(seed, Placed) else _listed(seed)
        nodes = [self.network.find(name) for name in names]
        check_method(self.network, rule, nodes)
        path = self._path(nodes)
        needed = self._needed(nodes, seeds, path, rule)
        known = self._held.find(needed)
        told = self._held.told(needed)
        self._check_unchanged(not told or not self._used, path, not told)
        self._used = True
        if not known.keys() >= set(needed):
            known = self._computed(needed, known)
        placed = (
            [seed.signals[name] for name in names]
            if isinstance(seed, Placed)
            else self._place(nodes, seeds, [known.get(node.index) for node in nodes])
        )
        jobs = [Job(node, signals) for node, signals in zip(nodes, placed, strict=True)]
        with quiet(self._images.device):
            maps = reconstruct_jobs(
                self.network, self._model, self._bottleneck(rule, known), rule, self._images, jobs, max_bytes,
                self._backend if backend == "auto" else backend, crop, cuda_graph,
            )  # fmt: skip
        return maps[0] if isinstance(layer, str) else dict(zip(names, maps, strict=True))

    def _execute(self, node: Node, x: Tensor, last_reader: bool) -> Tensor | None:
        """Compute a layer so that its decisions are kept."""
        assert node.operation is not None
        value, decision = node.operation.record(self._recorder, node, x, last_reader)
        if decision is not None:
            self._decisions[node.index] = decision
            self._taken += decision.nbytes
        return value

    def _see(self, node: Node, value: Tensor) -> None:
        self._held.see(node, value, self._taken)

    def _check_unchanged(self, whole: bool, path: Sequence[Node] = (), forward: bool = False) -> None:
        """Refuse to go on with a model or images that are no longer those of the recording.

        Args:
            whole: read completely all that the recording read completely.
            path: nodes about to be reversed, whose weights may have been packed before.
            forward: the images are about to be read.
        """
        state = State(self._model)
        unchanged = self._wrapped is None or without_wrappers(self._wrapped) is self._model
        unchanged = unchanged and self._watch.holds(state, whole, forward) and state.structure.alike(self._structure)
        if unchanged and path and not capturing():
            held = self.network.weight_caches
            used = (name for node in path for _, name in self.network.program[node.index - 1].parameters)
            caches = {name: held[name] for name in used if name in held}
            unchanged = self._watch.packed_holds(state, self._names, caches, functools.cache(self._comes_again))
        if not unchanged:
            raise DesaliError("the model or the images changed since desali.record(): record again")

    def _comes_again(self) -> bool:
        """Whether a recording made now would be this one."""
        return _values(Recording(*self._arguments())) == _values(self)

    def _arguments(self) -> tuple[nn.Module, Tensor, Keep | Need, str, Output]:
        """What makes a recording such as this one."""
        return self._model, self._images, self._keep, self._backend, self._choice

    def __copy__(self) -> Recording:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Recording:
        """A recording of copies of the model and the images.

        Raises:
            DesaliError: they changed since this recording.
        """
        self._check_unchanged(True, forward=True)
        return Recording(*copy.deepcopy(self._arguments(), memo))

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickle holds the model and the images, and records them again where it is read.

        Raises:
            DesaliError: they changed since this recording, or the model cannot be pickled.
        """
        self._check_unchanged(True, forward=True)
        try:
            pickle.dumps(self._model)
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DesaliError(
                f"{type(self._model).__name__} cannot be pickled ({reason}), and so neither can its recording; pickle "
                "its state_dict and the images, and record again where they are read"
            ) from error
        return Recording, self._arguments()

    def _needed(self, nodes: list[Node], seeds: list[Seed], path: list[Node], rule: Method) -> list[int]:
        """The nodes whose values a reconstruction needs, the images left out."""
        needed = {node.index for node in nodes if any(seed.needs_activation for seed in seeds)}
        return sorted((needed | inputs_needed(self.network, rule, path)) - {0})

    def _place(
        self, nodes: list[Node], seeds: list[Seed], known: Sequence[Tensor | None]
    ) -> list[list[Points | Tensor]]:
        """Seeds as numbers for some nodes, whose values are given where the seeds need them."""
        n = self._images.shape[0]
        return [
            join([place(seed, node.name, node.shape, n, self._images, activation) for seed in seeds])
            for node, activation in zip(nodes, known, strict=True)
        ]

    def _activations(self, indices: list[int]) -> list[Tensor]:
        """Values of nodes; those that it was not told to keep only if nothing has changed, whether held or not."""
        found = self._held.find(indices)
        if not self._held.told(indices):
            self._check_unchanged(True, forward=True)
        if not found.keys() >= set(indices):
            found = self._computed(indices, found)
        return [found[index] for index in indices]

    def _computed(self, indices: Iterable[int], known: dict[int, Tensor]) -> dict[int, Tensor]:
        """Values of nodes, those that are not known from one forward pass; they are held from now on."""
        missing = frozenset(indices) - known.keys()
        found: dict[int, Tensor] = {}

        def observe(node: Node, value: Tensor) -> None:
            found[node.index] = value

        with quiet(self._images.device):
            run(self.network, tensors(self._model), self._images, None, observe, max(missing), missing)
        self._held.hold(found)
        return known | found

    def _path(self, tops: list[Node]) -> list[Node]:
        """The nodes that a sweep from some nodes passes."""
        return [self.network.nodes[index] for index in steps(self.network, [node.index for node in tops])]

    def _bottleneck(self, rule: Method, known: Mapping[int, Tensor]) -> Bottleneck:
        """The decisions of the forward pass, and the values that an adjoint needs."""

        def inputs(node: Node) -> dict[int, Tensor]:
            if not needs_inputs(self.network, rule, node):
                n = self._images.shape[0]
                return {
                    index: self._images.new_zeros(()).expand(n, *self.network.nodes[index].shape)
                    for index in node.inputs
                }
            return {index: known[index] for index in node.inputs}

        return Bottleneck(self._decisions, self._fixed, inputs)


def _wanted(keep: Keep | Need, network: Network) -> frozenset[int] | None:
    """The nodes whose values are kept in any case; None: all."""
    if keep == "activations":
        return None
    if isinstance(keep, str):
        return frozenset()
    return (keep if isinstance(keep, Need) else Need(tuple(keep))).indices(network)


def _listed(seed: Seeds) -> list[Seed]:
    seeds: list[Any] = list(seed) if isinstance(seed, (list, tuple)) else [seed]
    words = [item for item in seeds if isinstance(item, str)]
    if words:
        raise MethodError(f"the seed is the text {words[0]!r}: make a seed of it with desali.Seed.parse({words[0]!r})")
    if not seeds or not all(isinstance(item, Seed) for item in seeds):
        raise MethodError("reconstruct needs at least one layer and one seed (desali.Seed.neuron(...), .layer(), ...)")
    return seeds


def _values(recording: Recording) -> list[int]:
    """Fingerprints of all that a recording found."""
    decisions = recording._decisions
    held = [recording.output, *recording._fixed, *(decisions[index] for index in sorted(decisions))]
    held += recording._held.all()
    return [contents.fingerprint(value) for value in held if hasattr(value, "untyped_storage")]


def record(
    model: nn.Module,
    images: Tensor,
    keep: Keep | Need = "reversal",
    *,
    backend: str = "auto",
    device: str | torch.device | None = None,
    fold_batch_norm: bool = False,
    output: Output = None,
) -> Recording:
    """Run a model once and keep what its reversal needs.

    Args:
        model: any ReLU CNN as a `torch.nn.Module` in evaluation mode; it is not changed.
        images: float [N, C, *spatial]; referenced, not copied.
        keep: "reversal" keeps ReLU masks (one bit each) and pooling switches (one byte each), and the outputs of the
            last layers as long as they take at most a quarter of that; a list of layers' names also keeps their
            outputs, "activations" those of every layer. What is not kept is computed again when it is asked for, and
            held for the next time: up to 64 MiB of all recordings together.
        backend: "auto", "native" or "torch".
        device: "cpu", "cuda", "cuda:N" or "auto": a model and images that lie elsewhere are copied there. None: where
            they are.
        fold_batch_norm: record a copy of the model with every batch normalisation folded into the convolution or linear
            layer right before it (`desali.reversal.graph.folding`); rounds anew, so that masks near zero flip.
        output: which tensor of a model that gives several, by position (1, -1) or name ("logits", "aux.logits"); None:
            the only one. A module of several inputs is wrapped in one that fills in the others.

    Raises:
        CaptureError: the model is in training mode or cannot be captured. NotFiniteWarning (a warning): NaN or infinity
            in the output; maps of such images mean nothing.
        DesaliError: the images do not fit, or a device that is not there. UnknownNameError: no such device.
    """
    import torch

    if not isinstance(model, torch.nn.Module):
        raise DesaliError(f"model must be a torch.nn.Module, got {type(model).__name__}{_inside(model)}")
    if not isinstance(images, torch.Tensor) or images.dim() < 3 or not images.is_floating_point():
        got = f"{images.dtype} {list(images.shape)}" if isinstance(images, torch.Tensor) else type(images).__name__
        raise DesaliError(f"images must be a float tensor of shape [N, C, *spatial], got {got}")
    if images.is_nested or images.layout is not torch.strided:
        raise DesaliError("images must be a dense tensor, got a nested or sparse one: make it dense first (to_dense())")
    if images.shape[0] < 1:
        raise DesaliError(f"images must hold at least one image, got shape {list(images.shape)}")
    check_keep(keep)
    check_output(output)
    try:
        model = unwrapped(model) if device is None and not fold_batch_norm else without_wrappers(model)
        if device is not None:
            model, images = moved(model, device), images.to(resolve(device))
        _check_alike(model, images)
        if fold_batch_norm:
            model = folding.fold_batch_norm(model, images, output)
        return Recording(model, images, keep, backend, output)
    except DesaliError:
        raise
    except Exception:  # it lacks attributes or tensors that plain modules have
        refuse_unfit(model)
        raise


def check_keep(keep: Any) -> None:
    """Refuse what `keep` cannot be."""
    listed = isinstance(keep, (list, tuple)) and all(isinstance(name, str) for name in keep)
    if not listed and not isinstance(keep, Need) and keep not in ("reversal", "activations"):
        raise DesaliError(f"keep must be 'reversal', 'activations' or a list of layers' names, got {keep!r}")


def _inside(given: object) -> str:
    """What to give instead of a loaded model, in a message."""
    return ": give its .model" if hasattr(getattr(given, "model", None), "named_parameters") else ""


def _check_alike(model: nn.Module, images: Tensor) -> None:
    """Refuse images of another type, or on another device, than the model's first parameter."""
    for name, parameter in model.named_parameters():
        if (parameter.is_floating_point() or parameter.is_complex()) and (parameter.dtype, parameter.device) != (
            images.dtype,
            images.device,
        ):
            refuse_unfit(model)
            raise DesaliError(
                f"images are {images.dtype} on {images.device} and the model's parameter {name} is {parameter.dtype} "
                f"on {parameter.device}: convert one to the other"
            )
        break


def reconstruct(
    model: nn.Module,
    images: Tensor,
    layer: str,
    seed: Seeds,
    method: str | Method = "desalinet",
    *,
    device: str | torch.device | None = None,
    output: Output = None,
    **options: Any,
) -> Tensor:
    """`record` and `Recording.reconstruct` in one call; see there. Returns maps [N, K, C, *spatial]."""
    activations = any(one.needs_activation for one in _listed(seed))
    needed = Need((layer,) if activations else (), ((find_method(method), (layer,)),))
    recording = record(model, images, needed, device=device, output=output)
    return recording.reconstruct(layer, seed, method, **options)
