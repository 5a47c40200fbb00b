"""Trained weights on disk: a safetensors file and beside it a JSON card that says what the weights are."""

from __future__ import annotations

import difflib
import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError, UnknownNameError, WeightsError
from desali.input.files import exists, read_bytes, read_text
from desali.input.torch_files import check_tensor, check_torch_file
from desali.input.values import one_line, parse_json
from desali.limits import WEIGHTS_BYTES
from desali.models.as_saved import Notes, contents, unwrapped
from desali.models.registry import architecture
from desali.output import summary
from desali.output.files import write_bytes, write_json

if TYPE_CHECKING:
    from torch import Tensor, nn

    from desali.data.preprocess import Preprocessing

_OTHERS = re.compile(
    r"(alexnet|vgg|resnet|resnext|wide_resnet|densenet|googlenet|inception|squeezenet|mobilenet|shufflenet|mnasnet|"
    r"efficientnet|regnet|convnext|vit|swin|maxvit)[a-z0-9_]*(@.*)?"
)
"""Names that torchvision gives to networks."""
RUNS = Path("runs")
WEIGHTS_NAME = "model.safetensors"
SUFFIXES = (".safetensors", ".pt", ".pth")
OBJECTS = ("stage", "metrics", "data", "replicate", "versions")
"""Entries of a card that are objects, where they are there."""
RANDOM = "random"
"""In place of weights: a network that has learned nothing."""
MOST_CHANNELS = 4096
"""Of an image; hyperspectral ones have hundreds."""
MAKE_ONE = "`desali train two_stage` makes one"


@dataclass(frozen=True, repr=False)
class LoadedModel:
    """A model in eval mode and its card.

    Attributes:
        model: the network, float32, in eval mode; on the CPU unless another device was asked for.
        card: the side file's content: "architecture", "in_channels", "classes", "preprocessing" and, for trained
            recipes, "recipe", "stage", "parent", "data", "seed", "versions", "metrics", "origin", ...
        path: the weights file; None for random weights.
    """

    model: nn.Module
    card: dict[str, Any]
    path: Path | None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits; none if they are not known."""
        return tuple(self.card["classes"])

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """How images become this model's input."""
        from desali.data.preprocess import Preprocessing

        return Preprocessing.from_dict(self.card["preprocessing"])

    def _facts(self) -> summary.Facts:
        def held() -> str:
            tensors = [*self.model.parameters(), *self.model.buffers()]
            return summary.size(sum(tensor.numel() * tensor.element_size() for tensor in tensors))

        def input_size() -> str:
            return f"{self.preprocessing.channels} x {self.preprocessing.size} x {self.preprocessing.size}"

        weights = RANDOM if self.path is None else str(self.path)
        return [
            ("recipe", str(self.card.get("recipe", ""))),
            ("classes", str(len(self.classes)) if self.classes else ""),
            ("input", summary.if_known(input_size)),
            ("weights", summary.if_known(held)),
            ("from", weights),
            ("device", summary.if_known(lambda: str(next(self.model.parameters()).device))),
        ]

    def __repr__(self) -> str:
        return summary.line("LoadedModel", str(self.card.get("architecture", "")), self._facts())

    def _repr_html_(self) -> str:
        more = [("names", summary.names(self.classes)), ("trained on", str(self.card.get("origin", "")))]
        return summary.table("LoadedModel", str(self.card.get("architecture", "")), [*self._facts(), *more])


def side_file(path: Path) -> Path:
    """The card that belongs to the weights at `path`: the same name with the suffix .json."""
    return path.with_suffix(".json")


def versions() -> dict[str, str]:
    """Versions of what decides the data and the weights: desali, NumPy, SciPy, torch, Lightning ("missing" where not
    installed) and Python."""
    import platform

    packages = ("desali", "numpy", "scipy", "torch", "lightning")
    return {name: _version(name) for name in packages} | {"python": platform.python_version()}


def machine() -> dict[str, Any]:
    """What the last bits of a training on the CPU depend on beside the versions: processor, instructions, threads."""
    import torch

    from desali.ops.device import processor

    return {
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


@cache
def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def save(model: nn.Module, path: Path, card: dict[str, Any]) -> Path:
    """Write `model`'s weights to `path` (.safetensors) and `card` beside it (.json).

    Each file appears whole or not at all. The card must name a known "architecture", "classes" and "preprocessing";
    "weights_sha256" is added, "in_channels", "versions" and "machine" too unless the card has them. The card is
    written last, so weights with a matching card are complete.

    Raises:
        WeightsError: the card lacks an entry, names an unknown architecture, or `path` does not end in .safetensors.
        OutputError: the files cannot be written.
    """
    from safetensors.torch import save as to_bytes

    path = Path(path)
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path}: weights are saved as .safetensors, choose that suffix")
    _check_card(card, path)
    entry = architecture(card["architecture"])
    data = to_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})
    write_bytes(path, data)
    defaults = {"in_channels": entry.in_channels, "versions": versions(), "machine": machine()}
    write_json(side_file(path), {**defaults, **card, "weights_sha256": sha256(data).hexdigest()})
    return path


def load(path: str | Path) -> LoadedModel:
    """The model whose weights lie at `path` (.safetensors, or a .pt/.pth state dict), with the card beside it.

    Nothing is unpickled but tensors and primitives (`weights_only=True`). torch's random state is left as it is.

    Raises:
        WeightsError: the file is missing, truncated, foreign or of other shapes, or its card is missing or broken.
    """
    import torch

    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise WeightsError(f"{path}: not a weights file, expected a name ending in {', '.join(SUFFIXES)}")
    if not exists(path):
        raise WeightsError(f"{path}: no such weights file; {MAKE_ONE}")
    data = read_bytes(path, "a weights file", WeightsError, WEIGHTS_BYTES)
    state = read_state(path, data)
    card = read_card(path)
    if card.get("weights_sha256", digest := sha256(data).hexdigest()) != digest:
        raise WeightsError(
            f"{path}: is not the file that {side_file(path).name} describes (SHA-256 differs); {MAKE_ONE}"
        )
    entry = architecture(card["architecture"])
    classes, channels = len(card["classes"]), int(card.get("in_channels", entry.in_channels))
    with torch.device("meta" if entry.on_meta else "cpu"), torch.random.fork_rng(devices=[]):
        model = entry.build(classes, channels)
    belongs = f"give the weights that belong to {side_file(path).name}"
    check_state(path, state, model.state_dict(), card["architecture"], belongs)
    model.load_state_dict(state, assign=entry.on_meta)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return LoadedModel(model.eval(), card, path)


def read_card(path: Path) -> dict[str, Any]:
    """The card beside the weights at `path`.

    Raises:
        WeightsError: it is missing, not JSON, or lacks an entry.
    """
    side = side_file(path)
    if not exists(side):
        raise WeightsError(f"{side}: the side file that describes {path.name} is missing; copy it beside the weights")
    text = read_text(side, "the JSON card of a weights file", WeightsError)
    card = parse_json(text, f"{side}: the side file of {path.name} is broken", WeightsError, MAKE_ONE)
    _check_card(card, side)
    return {key: value for key, value in card.items() if value is not None or key not in OBJECTS}


def find(name_or_path: str | Path, runs: Path = RUNS) -> Path:
    """The weights file of a trained recipe under `runs`, or of a path to weights or to a folder that holds them.

    Raises:
        WeightsError: nothing is there; the message names the command that makes it.
    """
    path = Path(name_or_path)
    if _OTHERS.fullmatch(str(name_or_path)) and not path.exists():
        name, _, weights = str(name_or_path).partition("@")
        weights = f"@{weights}" if weights else ""
        if not (Path(runs) / name / WEIGHTS_NAME).is_file():
            raise WeightsError(
                f"{name_or_path}: no such model under {runs}; did you mean 'torchvision:{name}{weights or '@WEIGHTS'}' "
                f"or 'timm:{name}{weights}'?"
            )
    trained = Path(runs) / path / WEIGHTS_NAME
    if path.suffix in SUFFIXES:
        if exists(path) and path.is_file():
            return path
        raise WeightsError(f"{path}: no such weights file; {MAKE_ONE}")
    for candidate in (path / WEIGHTS_NAME, trained):
        if exists(candidate) and candidate.is_file():
            return candidate
    if exists(path) and not path.is_dir():
        raise WeightsError(f"{path}: not a weights file, expected a name ending in {', '.join(SUFFIXES)}")
    known = sorted(folder.parent.name for folder in Path(runs).glob(f"*/{WEIGHTS_NAME}"))
    near = difflib.get_close_matches(str(name_or_path), known, n=1, cutoff=0.4)
    there = f"trained there: {', '.join(known)}" if known else "nothing is trained there"
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise WeightsError(
        f"{name_or_path}: no such model under {runs} ({there}); {hint}"
        "training makes one (`desali train two_stage`), and runs= names another folder (the demo's is demo/runs)"
    )


def read_state(path: Path, data: bytes, advice: str = MAKE_ONE, notes: Notes | None = None) -> dict[str, Tensor]:
    """The tensors in the content `data` of a weights file, floating ones as float32; nothing else is unpickled.

    Args:
        notes: take a training's checkpoint apart too (`desali.models.as_saved`), and say there what was done; None:
            only a plain state dict.

    Raises:
        WeightsError: not safetensors or a state dict, or truncated.
    """
    import pickle

    import torch
    from safetensors.torch import load as from_bytes

    try:
        if path.suffix == ".safetensors":
            state = from_bytes(data)
        else:
            check_torch_file(data, str(path), WeightsError, f"fetch it again, or {advice}")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch, about old forms of files
                state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError:
        raise WeightsError(
            f"{path}: not a plain state dict (it would run code, or is damaged); save model.state_dict() instead"
        ) from None
    except RuntimeError as error:
        if "TorchScript" in str(error):
            raise WeightsError(
                f"{path}: a TorchScript archive, which carries code and is not run; save the state_dict() of the "
                "module it was made from"
            ) from None
        raise WeightsError(
            f"{path}: unreadable or truncated ({_reason(error)}); fetch it again, or {advice}"
        ) from error
    except Exception as error:  # SafetensorError, ValueError, EOFError, IndexError, TypeError, ... on damaged files
        raise WeightsError(
            f"{path}: unreadable or truncated ({_reason(error)}); fetch it again, or {advice}"
        ) from error
    plain = isinstance(state, dict) and all(isinstance(value, torch.Tensor) for value in state.values())
    if not plain or not state:
        if notes is None:
            raise WeightsError(
                f"{path}: expected a state dict of tensors, got {contents(state)}; save model.state_dict()"
            )
        state = unwrapped(path, state, notes)
    for name, tensor in state.items():
        check_tensor(repr(str(name)[:80]), tensor, str(path), WeightsError, advice)
    return {str(name): tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def _reason(error: BaseException) -> str:
    return one_line((str(error).splitlines() or [type(error).__name__])[0])


def check_state(
    path: Path, state: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: str, advice: str
) -> None:
    """Check that `state` holds exactly the names and shapes that the architecture `name` has.

    Raises:
        WeightsError: it does not; `advice` says what to do about it.
    """
    unknown, missing = sorted(set(state) - set(expected)), sorted(set(expected) - set(state))
    if unknown or missing:
        what = f"unknown {unknown[0]!r}" if unknown else f"without {missing[0]!r}"
        count = len(unknown) + len(missing)
        raise WeightsError(f"{path}: not weights of {name} ({what}; {count} of {len(expected)} names differ); {advice}")
    import torch

    for key, tensor in expected.items():
        if tensor.is_floating_point() and not state[key].is_floating_point():
            kind = str(state[key].dtype).removeprefix("torch.")
            raise WeightsError(f"{path}: {key} holds {kind}, expected floating-point numbers (quantised?); {advice}")
        if state[key].is_floating_point() and not bool(torch.isfinite(state[key]).all()):
            raise WeightsError(f"{path}: {key} holds NaN or infinity; {advice}")
        if state[key].shape != tensor.shape:
            raise WeightsError(
                f"{path}: {key} must have shape {list(tensor.shape)} in {name}, got {list(state[key].shape)}; {advice}"
            )


def _check_card(card: object, path: Path) -> None:
    if not isinstance(card, dict):
        raise WeightsError(f"{path}: expected a JSON object with architecture, classes and preprocessing")
    for key, kind in (("architecture", str), ("classes", list | tuple), ("preprocessing", dict)):
        if not isinstance(card.get(key), kind) or not card[key]:
            raise WeightsError(f"{path}: the card lacks a valid {key!r} entry; {MAKE_ONE}")
    if not all(isinstance(name, str) and name for name in card["classes"]):
        raise WeightsError(f"{path}: the card lacks a valid 'classes' entry, names alone; {MAKE_ONE}")
    for key in OBJECTS:
        if not isinstance(card.get(key, {}), dict | None):
            raise WeightsError(f"{path}: the card lacks a valid {key!r} entry, an object; {MAKE_ONE}")
    if not isinstance((card.get("data") or {}).get("parameters", {}), dict):
        raise WeightsError(f"{path}: the card lacks a valid 'parameters' entry of its data, an object; {MAKE_ONE}")
    try:
        entry = architecture(card["architecture"])
    except UnknownNameError as error:
        raise WeightsError(f"{path}: the card names an {error}") from None
    except DesaliError as error:
        raise WeightsError(f"{path}: the card names a network that cannot be built: {error}") from None
    channels = card.get("in_channels", entry.in_channels)
    if isinstance(channels, bool) or not isinstance(channels, int) or not 1 <= channels <= MOST_CHANNELS:
        raise WeightsError(
            f"{path}: in_channels in the card must be a whole number from 1 to {MOST_CHANNELS}, got {channels!r}"
        )
    _check_preprocessing(card["preprocessing"], None if entry.any_size else entry.input_size, channels, path)


def _check_preprocessing(values: dict[str, Any], size: int | None, channels: int, path: Path) -> None:
    from desali.data.preprocess import Preprocessing

    try:
        preprocessing = Preprocessing.from_dict(values)
    except (DesaliError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise WeightsError(f"{path}: unusable preprocessing in the card ({error}); {MAKE_ONE}") from error
    size = size or preprocessing.size
    if (preprocessing.size, preprocessing.channels) != (size, channels):
        raise WeightsError(
            f"{path}: preprocessing in the card gives {preprocessing.channels} x {preprocessing.size} pixels, but the "
            f"architecture takes {channels} x {size}; {MAKE_ONE}"
        )
