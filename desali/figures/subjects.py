"""The models of a figure: plain modules and loaded ones alike, checked before anything is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.comparison.networks import Subject, check_apart, check_one_device, subject
from desali.data.preprocess import Preprocessing
from desali.errors import DataError
from desali.figures.inputs import Plain, Rule
from desali.models.checkpoint import LoadedModel
from desali.models.modules import equal_weights, input_channels, kind_of

if TYPE_CHECKING:
    import torch

Models = Mapping[str, Any]
"""Name -> a `torch.nn.Module` or a `LoadedModel`."""
Rules = Preprocessing | Mapping[str, Preprocessing]
Classes = Sequence[str] | Mapping[str, Sequence[str]]
TAKEN = {"random": "the random control", "input": "the image", "edges": "the edge detector"}
"""Names that captions give to what a map is compared with."""


@dataclass(frozen=True, eq=False)
class Shown(Subject):
    """One network of a figure.

    Attributes:
        rule: how images become its input, built once.
        rule_origin: in words, where the rule comes from.
        classes: names in the order of the logits; none if they are not known.
        path: the weights file; None for plain modules and random weights.
        plain: whether it was given as a module.
    """

    rule: Rule
    rule_origin: str
    classes: tuple[str, ...]
    path: Path | None
    plain: bool

    @property
    def architecture(self) -> str:
        """Its name: of a plain module the class."""
        return str(self.card["architecture"])

    @property
    def weights(self) -> str:
        """ "file", "random", or "module" for a module whose weights are what they are."""
        return "module" if self.plain else "random" if self.path is None else "file"


def subjects(
    models: Models,
    *,
    preprocessing: Rules | None = None,
    classes: Classes | None = None,
    device: str | torch.device | None = None,
) -> list[Shown]:
    """The models of a figure in their order; none of them is changed.

    Args:
        models: by the name that the figure calls them.
        preprocessing: of plain modules, one for all or by name; loaded models bring their own.
        classes: names of the classes of plain modules, one list for all or by name.
        device: where to run; models that lie elsewhere are copied there. None: where the models are.

    Raises:
        DataError: no models, or one that is no module. DesaliError: training mode, several devices, or one that is
            not there.
    """
    from desali.ops.device import resolve

    if not isinstance(models, Mapping):
        raise DataError(f"models must be a dict, name -> module, got {type(models).__name__}")
    if not models:
        raise DataError("nothing to show: give at least one model")
    for name in models:
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"models must be named by text, got the name {name!r}")
        if name in TAKEN:
            raise DataError(
                f"a model cannot be called {name!r}: the figure's captions call {TAKEN[name]} so; rename it"
            )
    target = None if device is None else resolve(device)
    _check_names("preprocessing", preprocessing, models)
    _check_names("classes", classes, models)
    shared = classes if isinstance(classes, Mapping) else dict.fromkeys(models, class_names(classes))
    own = {name: class_names(given, f" of {name}") for name, given in shared.items()}
    found = [_shown(name, model, preprocessing, own.get(name, ()), target) for name, model in models.items()]
    check_one_device(found)
    return found


def replicas(
    found: Sequence[Shown], replicates: Mapping[str, Any], device: str | torch.device | None = None
) -> tuple[list[Shown], dict[str, str]]:
    """Networks of the same training with other seeds, as a figure shows them.

    Args:
        replicates: name of a model -> one or several.

    Returns:
        them by the labels of their columns; and of which model each is, by label.

    Raises:
        DataError: a name that is no model's, another architecture, or one network twice.
    """
    from desali.ops.device import resolve

    if not isinstance(replicates, Mapping):
        raise DataError(f"replicates must be a dict, name of a model -> network, got {type(replicates).__name__}")
    target = None if device is None else resolve(device)
    models = {one.name: one for one in found}
    made: list[Shown] = []
    of: dict[str, str] = {}
    for name, given in replicates.items():
        if name not in models:
            raise DataError(f"replicates names {name!r}, which is not among the models {', '.join(models)}")
        one = models[name]
        several = list(given) if isinstance(given, list | tuple) else [given]
        for number, network in enumerate(several, 1):
            label = f"{name}, again" if len(several) == 1 else f"{name}, again {number}"
            checked = subject(label, network, target)
            if kind_of(checked.model) != kind_of(one.model):
                raise DataError(f"{label} is built otherwise than {name}: a replicate is the same training again")
            again = replace(one, name=label, model=checked.model, card=checked.card or one.card, path=None)
            if isinstance(network, LoadedModel):
                again = replace(again, path=network.path)
            made.append(again)
            of[label] = name
    check_apart([*found, *made])
    check_one_device([*found, *made])
    return made, of


def class_names(classes: Any, whose: str = "") -> tuple[str, ...]:
    """Names of classes in the order of the logits; none for None.

    Raises:
        DataError: something without an order of its own, or text, whose letters would be taken for names.
    """
    if classes is None:
        return ()
    listed = classes.tolist() if hasattr(classes, "tolist") else classes  # NumPy and pandas
    if isinstance(listed, str | bytes) or not isinstance(listed, Sequence):
        got = f"the string {listed!r}" if isinstance(listed, str) else f"a {type(listed).__name__}"
        raise DataError(f"classes{whose} must be a list of names in the order of the outputs, got {got}")
    return tuple(map(str, listed))


def check_different(found: Sequence[Shown]) -> None:
    """Refuse to compare a model with itself.

    Raises:
        DataError: one object twice, or two that hold the same bits.
    """
    check_apart(found)
    for index, one in enumerate(found):
        for other in found[index + 1 :]:
            if equal_weights(one.model, other.model):
                raise DataError(
                    f"{one.name} and {other.name} hold the same weights, bit by bit: there is nothing to compare; "
                    "check which weights were loaded"
                )


def check_one_architecture(found: Sequence[Shown], named_for_each: bool = False) -> str:
    """The architecture that all of the models have, by name; of several, all names.

    Args:
        named_for_each: whether the layers are named for each model; several architectures may then stand together.

    Raises:
        DataError: they differ.
    """
    first = found[0]
    for other in found[1:]:
        alike = kind_of(first.model) == kind_of(other.model)
        if not alike and not named_for_each:
            is_first, is_other = _told_apart(first, other)
            raise DataError(
                f"{other.name} is {is_other}, but {first.name} is {is_first}: layers and the random control are "
                "comparable within one architecture only; name the layers for each, "
                f"layers={{{first.name!r}: [...], {other.name!r}: [...]}}, or show them in separate figures"
            )
    return ", ".join(dict.fromkeys(one.architecture for one in found))


def _told_apart(first: Shown, other: Shown) -> tuple[str, str]:
    if first.architecture != other.architecture:
        return first.architecture, other.architecture
    counts = [sum(1 for _ in one.model.modules()) for one in (first, other)]
    return f"a {first.architecture} of {counts[0]} modules", f"another {other.architecture}, of {counts[1]}"


def _check_names(option: str, value: Any, models: Models) -> None:
    if isinstance(value, Mapping):
        for name in value:
            if name not in models:
                raise DataError(f"{option} names {name!r}, which is not among the models {', '.join(map(str, models))}")


def _shown(
    name: str, model: Any, preprocessing: Rules | None, classes: tuple[str, ...], target: torch.device | None
) -> Shown:
    checked = subject(name, model, target)
    module = checked.model
    loaded = model if isinstance(model, LoadedModel) else None
    given = preprocessing.get(name) if isinstance(preprocessing, Mapping) else preprocessing
    if given is not None and not isinstance(given, Preprocessing):
        raise DataError(f"preprocessing of {name} must be a desali.data.preprocess.Preprocessing, got {given!r}")
    if loaded is not None:
        rule: Rule = loaded.preprocessing
        origin = str(loaded.card.get("preprocessing_origin", "the model's card"))
        if isinstance(preprocessing, Mapping) and given is not None:
            rule, origin = given, "given"
        own = loaded.classes or classes
        return Shown(
            name,
            module,
            loaded.card,
            rule if isinstance(rule, Preprocessing) else None,
            rule,
            origin,
            own,
            loaded.path,
            False,
        )
    plain = Plain(input_channels(module))
    card = {"architecture": type(module).__name__}
    rule, origin = (plain, plain.words) if given is None else (given, "given")
    return Shown(name, module, card, given, rule, origin, classes, None, True)
