"""Any model by one string: a trained recipe, a weights file, or a network that others define, with its weights."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import DataError, DesaliError, WeightsError
from desali.input.arrays import read_npz as _read_npz
from desali.input.files import exists, read_bytes
from desali.limits import WEIGHTS_BYTES
from desali.models import as_saved, checkpoint, published
from desali.models.checkpoint import (
    RANDOM,
    RUNS,
    SUFFIXES,
    WEIGHTS_NAME,
    LoadedModel,
    check_state,
    find,
    read_state,
    side_file,
)
from desali.models.foreign import FACTORY, RANDOM_SEED, Blueprint, blueprint, takes_classes
from desali.models.replicate import number_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

FOREIGN_SUFFIXES = (*SUFFIXES, ".bin", ".ckpt", ".npz")
SOURCES = 'a recipe, a path, "torchvision:NAME", "timm:NAME", "module.path:factory" or "squeezenet1_0"'

_NAMED = re.compile(r"((?:torchvision|timm):[^@]+|squeezenet1_0)(?:[@:](.+))?", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """A model's string taken apart.

    Attributes:
        network: a network that others define, or None for a trained recipe or a path.
        weights: a weights file, "random", or None if none was named.
    """

    network: str | None
    weights: str | None = None


def parse(spec: str) -> Source:
    """Take a model's string apart; "NETWORK@WEIGHTS" names both (also "squeezenet1_0:WEIGHTS")."""
    if Path(spec).suffix in SUFFIXES and os.path.isfile(spec):
        return Source(None)
    named = _NAMED.fullmatch(spec)
    if named:
        return Source(named[1], named[2])
    network, _, weights = spec.partition("@")
    return Source(network, weights or None) if FACTORY.fullmatch(network) else Source(None)


def label(spec: str | Path, weights: str | Path | None = None, runs: Path = RUNS) -> str:
    """The name a model is shown under: the recipe (RECIPE-replicate-1), the weights file's stem, or NETWORK@STEM.

    Raises:
        WeightsError: a recipe or path that does not exist.
    """
    source = parse(str(spec))
    if source.network is None:
        path = find(spec, runs)
        if path.name != WEIGHTS_NAME:
            return path.stem
        folder = path.parent
        return folder.name if number_of(folder.name) is None else f"{folder.parent.name}-{folder.name}"
    kind, _, name = source.network.rpartition(":")
    short = name.replace("/", "-") if kind in ("", "torchvision", "timm") else name.rpartition(".")[2]
    given = weights or source.weights
    return short if given is None else f"{short}@{Path(given).stem}"


def load(
    spec: str | Path,
    weights: str | Path | None = None,
    *,
    num_classes: int | None = None,
    classes: Sequence[str] | None = None,
    allow_missing: bool = False,
    download: bool = False,
    output: int | str | None = None,
    device: str | torch.device = "cpu",
    runs: str | Path = RUNS,
) -> LoadedModel:
    """A model in evaluation mode, from whatever names it.

    Args:
        spec: the name of a recipe trained under `runs`, a path to its weights, "torchvision:resnet18", "timm:NAME",
            "module.path:factory" (a callable that returns a module; the module is imported, so its code runs) or
            "squeezenet1_0". "@" and a weights file may follow the last four; "torchvision:resnet18@IMAGENET1K_V1" and
            "timm:resnet18.a1_in1k" name weights that the package publishes, with their preprocessing.
        weights: safetensors or a file that `torch.load(weights_only=True)` reads, for SqueezeNet also npz; "random" for
            a network that has learned nothing. A training's checkpoint is taken apart (`desali.models.as_saved`); the
            card's "weights_notes" say what was done. Nothing but tensors is ever unpickled.
        num_classes: of the last layer; by default what the weights have, or the network's own number.
        classes: names in the order of the logits, for a network that others define; a trained recipe brings its own.
        allow_missing: draw at random what the weights lack (a classifier that was taken off), and leave out what the
            network lacks.
        download: fetch published weights that are not on this machine; only what a digest pins (`published`).
        output: of a network that gives several tensors the one to study, by position or name, as in `desali.record`.
        device: "cpu", "cuda", "cuda:N" or "auto": where the model is put.
        runs: folder of the trained recipes.

    Raises:
        WeightsError: weights that are not named, missing, unreadable, foreign or of other shapes.
        DesaliError: a package or a device that is missing, a factory that fails, or other classes than the network
            has. UnknownNameError: an unknown network.
    """
    from desali.ops.device import resolve

    where = resolve(device)
    names = None if classes is None else _names(classes, num_classes)
    loaded = _load(spec, weights, num_classes, names, Path(runs), allow_missing, download, output)
    loaded.model.to(where)
    return loaded


def _names(classes: Sequence[str], num_classes: int | None) -> list[str]:
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes) or not classes:
        raise DataError(f"classes must be a list of names, got {classes!r}")
    if len(set(classes)) < len(classes):
        raise DataError("classes must be names that differ")
    if num_classes is not None and num_classes != len(classes):
        raise DataError(f"classes holds {len(classes)} names, but num_classes is {num_classes}")
    return list(classes)


def _load(
    spec: str | Path,
    weights: str | Path | None,
    num_classes: int | None,
    names: list[str] | None,
    runs: Path,
    allow_missing: bool,
    download: bool,
    output: int | str | None,
) -> LoadedModel:
    source = parse(str(spec))
    if source.network is None:
        if output is not None:
            raise WeightsError(f"{spec}: a trained model gives one output; leave output={output!r} out")
        if weights is not None or num_classes is not None or names is not None:
            raise WeightsError(
                f"{spec}: a trained model brings its own weights and classes; leave them out, or give {SOURCES}"
            )
        path = Path(spec)
        return checkpoint.load(path if path.is_file() else find(spec, runs))
    given = weights if weights is not None else source.weights
    found = published.meant(source.network, None if given is None else str(given), FOREIGN_SUFFIXES)
    if found is None and given is None:
        raise WeightsError(
            f"{spec}: no weights given; name a file (weights=FILE or {spec}@FILE)"
            f'{published.offered(source.network)}, or "{RANDOM}" to look at a network that has learned nothing'
        )
    plan = blueprint(source.network, {} if found is None else found.options)
    assert plan is not None  # parse found a network's name
    if num_classes is None and names is not None and takes_classes(plan) and str(given) == RANDOM:
        num_classes = len(names)
    if str(given) == RANDOM:
        return _finish(plan, plan.build(num_classes, RANDOM_SEED), None, None, names, output=output)
    file = Path(str(given)) if found is None else published.file_of(found, download, published.progress(found.spec))
    data = _read(file)
    notes = as_saved.Notes()
    state = _state(plan, file, data, notes)
    if found is not None:
        state = published.renamed(source.network, state, list(_tensors(plan.build(None, RANDOM_SEED))))
    model = _with_weights(plan, file, state, num_classes, allow_missing, notes)
    return _finish(plan, model, file, data, names, notes, found, output)


def pretrained(architecture: str, file: Path) -> LoadedModel:
    """The weights in `file` as a model of that architecture, with as many classes as they have.

    Args:
        architecture: a name that `desali.models.architecture` knows.
        file: what desali saved (with its card beside it), or, for SqueezeNet and networks that others define, any file
            that `load` reads.

    Raises:
        WeightsError: missing, unreadable, or of another architecture.
    """
    if side_file(file).is_file():
        loaded = checkpoint.load(file)
        if loaded.card["architecture"] != architecture:
            raise WeightsError(f"{file}: weights of {loaded.card['architecture']}, expected {architecture}")
        return loaded
    if blueprint(architecture) is None:
        raise WeightsError(
            f"{file}: {side_file(file).name}, which describes {architecture} weights, is missing beside it"
        )
    return load(architecture, weights=file)


def _read(file: Path) -> bytes:
    if file.suffix not in FOREIGN_SUFFIXES:
        raise WeightsError(f"{file}: not a weights file, expected a name ending in {', '.join(FOREIGN_SUFFIXES)}")
    if not exists(file):
        raise WeightsError(f"{file}: no such weights file; check the path")
    return read_bytes(file, "a weights file", WeightsError, WEIGHTS_BYTES)


def _state(plan: Blueprint, file: Path, data: bytes, notes: as_saved.Notes) -> dict[str, Tensor]:
    if file.suffix != ".npz":
        return read_state(file, data, "save it anew", notes)
    if plan.name != "squeezenet1_0":
        raise WeightsError(f"{file}: npz weights are read for squeezenet1_0 only; save {plan.name}'s as .safetensors")
    return read_npz(file, data)


def read_npz(file: Path, data: bytes) -> dict[str, Tensor]:
    """The arrays in the content `data` of an npz file as float32 tensors; objects in it are refused, not unpickled.

    Raises:
        WeightsError: not an npz file, truncated, or with other things than numbers in it.
    """
    import numpy as np
    import torch

    arrays = {}
    for name, array in _read_npz(
        data, str(file), WeightsError, "fetch it again", said="unreadable or no plain npz of numbers"
    ).items():
        if array.dtype.kind not in "biuf":
            raise WeightsError(f"{file}: {name[:80]!r} holds {array.dtype}, no plain npz of numbers; save real numbers")
        arrays[name] = np.asarray(array, np.float32)
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def _with_weights(
    plan: Blueprint,
    file: Path,
    state: dict[str, Tensor],
    num_classes: int | None,
    allow_missing: bool,
    notes: as_saved.Notes,
) -> nn.Module:
    model = plan.build(num_classes, RANDOM_SEED)
    state = as_saved.fitted(file, state, _tensors(model), notes)
    found = _classes(state, _tensors(model)) if num_classes is None else None
    if found is not None and takes_classes(plan):
        model = plan.build(found, RANDOM_SEED)
    expected = _tensors(model)
    state = as_saved.completed(file, state, expected, plan.name, allow_missing, notes)
    advice = f"give weights that were saved from {plan.name}"
    if found is not None and not takes_classes(plan):
        advice = f"they have {found} outputs, and {plan.name} takes no num_classes: give it that argument"
    elif num_classes is not None:
        advice = f"num_classes={num_classes} was asked for; leave it out to take the weights' own number"
    check_state(file, state, expected, plan.name, advice)
    _put(plan, file, model, state)
    return model


def _put(plan: Blueprint, file: Path, model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load tensors that fit, as of the version of its own that each module expects (MNASNet asks for it).

    Raises:
        WeightsError: a module refuses them.
    """
    versioned: Any = OrderedDict(state)
    versioned._metadata = getattr(model.state_dict(), "_metadata", {})
    try:
        model.load_state_dict(versioned)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{file}: {plan.name} does not take these weights ({reason})") from error


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if hasattr(value, "shape")}


def _classes(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> int | None:
    """The number of classes of the weights, where nothing else than that differs from the network; else None."""
    differing = [(state[name].shape, tensor.shape) for name, tensor in expected.items() if name in state]
    differing = [(new, old) for new, old in differing if new != old]
    sizes = {new[0] for new, old in differing if len(new) == len(old) > 0 and new[1:] == old[1:]}
    alike = all(len(new) == len(old) > 0 and new[1:] == old[1:] for new, old in differing)
    return int(sizes.pop()) if alike and len(sizes) == 1 else None


def _finish(
    plan: Blueprint,
    model: nn.Module,
    file: Path | None,
    data: bytes | None,
    names: list[str] | None,
    notes: as_saved.Notes | None = None,
    found: published.Published | None = None,
    output: int | str | None = None,
) -> LoadedModel:
    from desali.data.preprocess import Preprocessing
    from desali.reversal.graph.outputs import Choice

    fields, words = plan.preprocessing(model) if found is None else (found.preprocessing, found.words)
    card: dict[str, Any] = {
        "architecture": plan.name,
        "in_channels": int(fields.get("channels", 3)),
        "classes": names or [],
        "preprocessing": Preprocessing.from_dict(fields).to_dict(),
        "preprocessing_origin": words,
        "show": list(plan.show),
        "origin": "unknown",
    }
    if data is None:
        card |= {"weights": RANDOM, "seed": RANDOM_SEED, "origin": "none"}
    else:
        card |= {"weights": "file", "weights_sha256": sha256(data).hexdigest()}
    if notes is not None and notes.said:
        card |= {"weights_notes": notes.said}
    if found is not None:
        card |= found.facts()
    if output is not None:
        card |= {"output": output}
        model.register_forward_hook(Choice(output))
    loaded = LoadedModel(model.eval().float(), card, file)
    if names is not None:
        _check_outputs(loaded, plan.name)
    elif found is not None and found.classes and _output_shape(loaded, plan.name)[1:] == [len(found.classes)]:
        card |= {"classes": list(found.classes)}
    return loaded


def _check_outputs(loaded: LoadedModel, name: str) -> None:
    """Refuse another number of class names than the network has outputs, by one forward pass."""
    shape = _output_shape(loaded, name)
    if len(shape) != 2 or shape[1] != len(loaded.classes):
        raise DataError(f"{name}: {len(loaded.classes)} class names were given, but its output has shape {shape}")


def _output_shape(loaded: LoadedModel, name: str) -> list[int]:
    """The shape of what the network gives for one image.

    Raises:
        DesaliError: it cannot be run.
    """
    import torch

    own = loaded.preprocessing
    with torch.inference_mode():
        try:
            output = loaded.model(torch.zeros(1, own.channels, own.size, own.size))
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DesaliError(
                f"{name}: cannot be run on {own.channels} x {own.size} x {own.size} ({reason})"
            ) from error
    return list(getattr(output, "shape", ()))
