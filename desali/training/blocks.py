"""The feature layers of a network as blocks, counted from the classifier down; batch norm of frozen blocks.

A block is a child of the network, or of a plain `Sequential` or `ModuleList` in it, that holds weights: a
convolution of CaffeNet, a fire module of SqueezeNet, a residual block of a ResNet. Normalisation that stands alone
belongs to the block before it. Blocks follow the order in which the network registers its modules, which is that of the
forward pass in all networks that desali trains.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from desali.models.registry import Architecture


class Blocks:
    """Depth of every parameter and module: 0 in the classifier, 1 in the feature block nearest to it, and so on."""

    def __init__(self, model: nn.Module, architecture: Architecture) -> None:
        self._classifier = architecture.classifier  # not the architecture, which cannot always go to another process
        self._blocks: list[list[str]] = []
        self._collect(model, "")

    def __len__(self) -> int:
        return len(self._blocks)

    def depth(self, name: str) -> int:
        """Depth of the parameter, buffer or module of that name; what belongs to no block is as deep as the deepest."""
        if _within(name, self._classifier):
            return 0
        for number, prefixes in enumerate(self._blocks):
            if _within(name, prefixes):
                return len(self._blocks) - number
        return len(self._blocks)

    def frozen(self, name: str, unfrozen: int | None) -> bool:
        """Whether it is frozen when `unfrozen` blocks below the classifier are trained (None: all)."""
        return unfrozen is not None and self.depth(name) > unfrozen

    def freeze(self, model: nn.Module, unfrozen: int | None) -> None:
        """Set `requires_grad` of all parameters, and training mode but for the running statistics of frozen layers."""
        model.train()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not self.frozen(name, unfrozen))
        for name, module in model.named_modules():
            if isinstance(module, _NormBase) and self.frozen(name, unfrozen):
                module.eval()

    def _collect(self, module: nn.Module, path: str) -> None:
        children = [
            (f"{path}{name}", child)
            for name, child in module.named_children()
            if not _within(f"{path}{name}", self._classifier) and child.state_dict()
        ]
        for name, child in children:
            alone = not path and len(children) == 1 and any(one.state_dict() for one in child.children())
            if alone or type(child) in (nn.Sequential, nn.ModuleList):
                self._collect(child, f"{name}.")
            elif self._blocks and _normalises(child):
                self._blocks[-1].append(name)
            else:
                self._blocks.append([name])


def _within(name: str, prefixes: Iterable[str]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def _normalises(module: nn.Module) -> bool:
    return all(
        "Norm" in type(one).__name__
        for one in module.modules()
        if [*one.parameters(recurse=False), *one.buffers(recurse=False)]
    )
