"""The networks of a comparison: plain modules and loaded models alike, captured once for all of one structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desali.errors import DataError, DesaliError
from desali.models.checkpoint import LoadedModel
from desali.models.modules import fingerprint, input_channels, one_device, training_part
from desali.ops.device import moved
from desali.reversal.graph.unfit import refuse_unfit
from desali.reversal.graph.wrappers import without_wrappers

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from desali.data.preprocess import Preprocessing
    from desali.reversal.graph.network import Network


@dataclass(frozen=True, eq=False)
class Subject:
    """One network of a comparison.

    Attributes:
        name: what messages call it.
        model: the module that is run: the caller's own, or a copy on another device.
        card: of a loaded model; else empty.
        preprocessing: of a loaded model.
    """

    name: str
    model: nn.Module
    card: dict[str, Any]
    preprocessing: Preprocessing | None

    @property
    def device(self) -> torch.device:
        """Where its parameters lie."""
        return one_device(self.model, self.name)

    @property
    def dtype(self) -> torch.dtype:
        """Of its parameters."""
        import torch

        return next((p.dtype for p in self.model.parameters() if p.is_floating_point()), torch.float32)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers by qualified name."""
        from desali.reversal.graph.structure import tensors

        return tensors(self.model)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over names and values of all parameters and buffers."""
        return fingerprint(self.model)

    def facts(self) -> dict[str, Any]:
        """What a record says of it, JSON-serialisable."""
        return {
            "class": type(self.model).__name__,
            "recipe": self.card.get("recipe"),
            "stage": (self.card.get("stage") or {}).get("title"),
            "seed": self.card.get("seed"),
            "weights_sha256": self.card.get("weights_sha256") or self.fingerprint,
            **as_loaded(self.card),
        }

    def capture(self, images: Tensor) -> Network:
        """The captured network for images of this shape.

        Raises:
            DataError: the images have other channels than it takes. CaptureError: it cannot be captured.
        """
        from desali.reversal.graph.capture import CaptureError, capture

        try:
            return capture(self.model, images)
        except CaptureError as error:
            takes = input_channels(self.model)
            if takes is not None and images.dim() == 4 and takes != images.shape[1]:
                raise DataError(
                    f"{self.name} takes images of {takes} channels, and these have {images.shape[1]}: give images that "
                    "all networks take"
                ) from error
            raise CaptureError(f"{self.name}: {error}") from error


def as_loaded(card: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says of how a network by name was loaded: what was done to its weights, which output it gives."""
    return {key: card[key] for key in ("weights_notes", "weights_name", "weights_url", "output") if card.get(key)}


def subject(name: str, given: Any, device: torch.device | None = None) -> Subject:
    """Check what was given as a network; a copy of it where it lies on another device.

    Raises:
        DataError: neither a module nor a loaded model. DesaliError: training mode, or no single device.
    """
    import torch

    loaded = given if isinstance(given, LoadedModel) else None
    model = given if loaded is None else loaded.model
    if not isinstance(model, torch.nn.Module):
        raise DataError(f"{name} must be a torch.nn.Module or what desali.load returns, got {type(given).__name__}")
    refuse_unfit(model, name)
    model = without_wrappers(model)
    part = training_part(model)
    if part is not None:
        raise DesaliError(
            f"{name}{f', module {part!r},' if part else ''} is in training mode: call model.eval() first; desali does "
            "not switch it silently"
        )
    where = one_device(model, name)
    if device not in (None, where):
        model = moved(model, device)
    return Subject(name, model, {} if loaded is None else loaded.card, None if loaded is None else loaded.preprocessing)


def check_apart(subjects: Sequence[Subject]) -> None:
    """Refuse one network twice.

    Raises:
        DataError: two of them are one object.
    """
    for index, one in enumerate(subjects):
        for other in subjects[index + 1 :]:
            if one.model is other.model:
                raise DataError(f"{one.name} and {other.name} are the same object: give two networks")


def check_one_device(subjects: Sequence[Subject]) -> None:
    """Refuse networks on several devices.

    Raises:
        DataError: two of them lie on different ones.
    """
    first = subjects[0]
    for one in subjects[1:]:
        if one.device != first.device:
            raise DataError(
                f"{first.name} is on {first.device} and {one.name} on {one.device}: move one of them, or name a device "
                "where copies are run (device=)"
            )


def check_together(subjects: Sequence[Subject]) -> Preprocessing | None:
    """The preprocessing that all loaded models share.

    Raises:
        DataError: one network twice, or different preprocessing, number types or devices.
    """
    first = subjects[0]
    check_apart(subjects)
    check_one_device(subjects)
    for one in subjects[1:]:
        if one.dtype != first.dtype:
            words = [str(each.dtype).removeprefix("torch.") for each in (first, one)]
            raise DataError(
                f"{first.name} is in {words[0]} and {one.name} in {words[1]}: bring them together (module.to(...))"
            )
    rules = [(one.name, one.preprocessing) for one in subjects if one.preprocessing is not None]
    for name, rule in rules[1:]:
        if rule != rules[0][1]:
            fields = rules[0][1].to_dict(), rule.to_dict()
            field = next(key for key in fields[0] if fields[0][key] != fields[1][key])
            differing = f"{field} is {fields[0][field]} and {fields[1][field]}"
            raise DataError(
                f"{rules[0][0]} and {name} prepare images in different ways ({differing}): signals can be compared on "
                "the same input only; give the plain modules and a tensor"
            )
    return rules[0][1] if rules else None
