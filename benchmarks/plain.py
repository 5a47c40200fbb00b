"""The best plain-PyTorch formulation we can write: one forward pass, all seeds as one batch, no autograd.

Masks and indices are kept; aten's max-pooling backward unpools; the step to the image is one phase convolution and a
`pixel_shuffle`; seeds at one position work on their receptive field only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.baselines import Neuron, strongest
from benchmarks.models import Net

Origin = tuple[int, int]


def phase_weight(weight: Tensor, stride: int) -> Tensor:
    """Weight of the convolution whose channels are the stride x stride phases of a transposed convolution.

    Args:
        weight: [O, I, k, k].

    Returns:
        [I * stride * stride, O, taps, taps], taps = ceil(k / stride); channels in the order of `pixel_shuffle`.
    """
    o, i, kernel, _ = weight.shape
    taps = -(-kernel // stride)
    missing = taps * stride - kernel
    padded = F.pad(weight, (0, missing, 0, missing)).view(o, i, taps, stride, taps, stride)
    turned = padded.permute(1, 3, 5, 0, 2, 4).flip(4, 5)  # [I, ry, rx, O, taps, taps]
    return turned.reshape(i * stride * stride, o, taps, taps).contiguous()


def phase_transpose(signal: Tensor, phases: Tensor, stride: int) -> Tensor:
    """Transposed convolution without padding: [B, O, h, w] -> [B, I, stride * (h + taps - 1), ...]."""
    return F.pixel_shuffle(F.conv2d(signal, phases, padding=phases.shape[2] - 1), stride)


@dataclass
class Record:
    """What one forward pass leaves: the output of every layer of `features`, and the indices of every pooling."""

    images: Tensor
    outputs: list[Tensor]
    indices: dict[int, Tensor]
    logits: Tensor


class Plain:
    """Reversal of a network's `features` with DeSaliNet's rules.

    Args:
        channels_last: memory format of the reversal. The forward pass has the same format in either case: another one
            rounds differently, and a value near 0 that changes its sign changes the maps.
    """

    def __init__(self, net: Net, channels_last: bool = False) -> None:
        self.net = net
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.layers = list(net.features.children())
        self.names = [f"features.{name}" for name, _ in net.features.named_children()]
        self.weights: dict[int, Tensor] = {}
        self.phases: dict[int, Tensor] = {}
        for index, layer in enumerate(self.layers):
            if isinstance(layer, nn.Conv2d):
                self.weights[index] = layer.weight.detach().contiguous(memory_format=self.format)
                if layer.stride[0] > 1:
                    phases = phase_weight(layer.weight.detach(), layer.stride[0])
                    self.phases[index] = phases.contiguous(memory_format=self.format)

    def record(self, images: Tensor) -> Record:
        """One forward pass, the classifier included."""
        x = images.detach()
        outputs, indices = [], {}
        for index, layer in enumerate(self.layers):
            if isinstance(layer, nn.MaxPool2d):
                x, indices[index] = F.max_pool2d_with_indices(x, _pair(layer.kernel_size), _pair(layer.stride))
            elif isinstance(layer, nn.Conv2d):
                x = F.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding)
            else:
                x = layer(x)
            outputs.append(x)
        outputs = [output.contiguous(memory_format=self.format) for output in outputs]
        return Record(images, outputs, indices, self.net.head(x))

    @torch.no_grad()
    def neurons(self, images: Tensor, layer: str, neurons: Sequence[Neuron]) -> Tensor:
        """Maps [N, K, C, H, W] of single neurons at one position, cropped to their receptive field."""
        record = self.record(images)
        places = {(row, column) for _, row, column in neurons}
        if len(places) != 1:
            raise ValueError(f"plain cropping needs neurons at one position, got {len(places)}")
        top = self.names.index(layer)
        count = record.outputs[top].shape[1]
        seed = images.new_zeros(images.shape[0], len(neurons), count, 1, 1)
        for k, (channel, _, _) in enumerate(neurons):
            seed[:, k, channel] = 1
        signal, (row, column) = self._down(record, seed, places.pop(), top, 0)
        maps = images.new_zeros(*signal.shape[:3], *images.shape[2:])
        maps[..., row : row + signal.shape[3], column : column + signal.shape[4]] = signal
        return maps

    @torch.no_grad()
    def top(self, images: Tensor, layers: Sequence[str], k: int) -> dict[str, Tensor]:
        """Maps [N, k, C, H, W] of each layer's strongest neurons: whole maps, the layers joined in one sweep."""
        record = self.record(images)
        n = images.shape[0]
        tops = sorted((self.names.index(name) for name in layers), reverse=True)
        joined: Tensor | None = None
        for index, below in zip(tops, [*tops[1:], -1], strict=True):
            output = record.outputs[index]
            picks = strongest(output, k)
            seed = output.new_zeros(n, k, *output.shape[1:])
            rows = torch.arange(n, device=images.device)[:, None].expand(n, k)
            order = torch.arange(k, device=images.device).expand(n, k)
            channel, row, column = picks.unbind(1)
            seed[rows, order, channel, row, column] = 1
            signal = seed if joined is None else torch.cat([joined, seed], 1)
            joined, _ = self._down(record, signal, (0, 0), index, below + 1)
        assert joined is not None
        parts = torch.split(joined, k, 1)
        return {self.names[index]: part for index, part in zip(tops, parts, strict=True)}

    @torch.no_grad()
    def layer(self, images: Tensor, layer: str) -> Tensor:
        """Maps [N, 1, C, H, W] of a whole layer with its activations."""
        record = self.record(images)
        top = self.names.index(layer)
        return self._down(record, record.outputs[top].unsqueeze(1), (0, 0), top, 0)[0]

    def _down(self, record: Record, signal: Tensor, origin: Origin, top: int, last: int) -> tuple[Tensor, Origin]:
        """Through the layers `top` to `last`, both included."""
        for index in range(top, last - 1, -1):
            layer = self.layers[index]
            below = record.outputs[index - 1] if index else record.images
            if isinstance(layer, nn.Conv2d):
                signal, origin = self._convolution(index, layer, signal, origin, below)
            elif isinstance(layer, nn.MaxPool2d):
                signal, origin = self._max_pool(record, index, layer, signal, origin, below)
            elif isinstance(layer, nn.ReLU):
                signal = signal.clamp_min(0)
                if not isinstance(self.layers[min(index + 1, top)], nn.MaxPool2d):
                    window = _window(record.outputs[index], origin, signal)
                    signal = torch.ops.aten.threshold_backward(signal, window.unsqueeze(1), 0)
        return signal, origin

    def _convolution(
        self, index: int, layer: nn.Conv2d, signal: Tensor, origin: Origin, below: Tensor
    ) -> tuple[Tensor, Origin]:
        n, k = signal.shape[:2]
        stride, padding = layer.stride[0], int(layer.padding[0])
        flat = signal.flatten(0, 1).contiguous(memory_format=self.format)
        if stride == 1 and flat.shape[2:] == below.shape[2:]:
            out = F.conv_transpose2d(flat, self.weights[index], padding=padding)
            return out.view(n, k, *out.shape[1:]), (0, 0)
        if index in self.phases:
            out = phase_transpose(flat, self.phases[index], stride)
        else:
            out = F.conv_transpose2d(flat, self.weights[index], stride=stride)
        starts = [at * stride - padding for at in origin]
        cuts = [
            (max(0, start), min(limit, start + size))
            for start, size, limit in zip(starts, out.shape[2:], below.shape[2:], strict=True)
        ]
        (y0, y1), (x0, x1) = ((low - start, high - start) for (low, high), start in zip(cuts, starts, strict=True))
        out = out[:, :, y0:y1, x0:x1]
        return out.view(n, k, *out.shape[1:]), (cuts[0][0], cuts[1][0])

    def _max_pool(
        self, record: Record, index: int, layer: nn.MaxPool2d, signal: Tensor, origin: Origin, below: Tensor
    ) -> tuple[Tensor, Origin]:
        n, k, channels, height, width = signal.shape
        kernel, stride = _pair(layer.kernel_size)[0], _pair(layer.stride)[0]
        if isinstance(self.layers[index - 1], nn.ReLU):  # the maximum sits where the ReLU's input was positive
            pooled = _window(record.outputs[index], origin, signal).unsqueeze(1)
            signal = torch.ops.aten.threshold_backward(signal, pooled, 0)
        chosen = _window(record.indices[index], origin, signal)
        whole = (height, width) == tuple(record.outputs[index].shape[2:])
        row, column = (0, 0) if whole else (origin[0] * stride, origin[1] * stride)
        size = tuple(below.shape[2:]) if whole else ((height - 1) * stride + kernel, (width - 1) * stride + kernel)
        if not whole:
            chosen = (chosen // below.shape[3] - row) * size[1] + chosen % below.shape[3] - column
        chosen = chosen.unsqueeze(1).expand(n, k, channels, height, width).flatten(0, 1)
        shape = below.new_empty(n * k, channels, *size).contiguous(memory_format=self.format)
        out = torch.ops.aten.max_pool2d_with_indices_backward(
            signal.flatten(0, 1).contiguous(memory_format=self.format), shape, [kernel, kernel], [stride, stride],
            [0, 0], [1, 1], False, chosen.contiguous(memory_format=self.format),
        )  # fmt: skip
        return out.view(n, k, *out.shape[1:]), (row, column)


def _pair(size: int | tuple[int, ...]) -> tuple[int, int]:
    """Both spatial dimensions of a setting."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _window(values: Tensor, origin: Origin, signal: Tensor) -> Tensor:
    """The part of values [N, C, H, W] that a signal's window covers."""
    return values[:, :, origin[0] : origin[0] + signal.shape[3], origin[1] : origin[1] + signal.shape[4]]
