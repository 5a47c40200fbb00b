"""SqueezeNet 1.0, with the module names and the geometry of the weights that its authors published for Caffe."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

INPUT_DEVIATION = 64.0
"""Of a typical pixel value, 0 to 255; it shapes the first weights only."""

_FIRES = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128), 6: (48, 192), 7: (48, 192), 8: (64, 256), 9: (64, 256)}


class Fire(nn.Module):
    """Squeeze to few channels, then expand by 1 x 1 and 3 x 3 convolutions side by side; one ReLU over both halves."""

    def __init__(self, before: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(before, squeeze, 1)
        self.squeeze_relu = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand_relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """[n, 2 expand, h, w] of [n, before, h, w]."""
        x = self.squeeze_relu(self.squeeze(x))
        expanded: Tensor = self.expand_relu(torch.cat((self.expand1x1(x), self.expand3x3(x)), 1))
        return expanded


class SqueezeNet(nn.Module):
    """SqueezeNet 1.0: 1,248,424 parameters with 1000 classes.

    Input [n, in_channels, 227, 227] or other sizes; for the published weights blue, green, red from 0 to 255
    minus (104, 117, 123). Output [n, num_classes] logits.
    conv1 is 7 x 7 with stride 2 and no padding; the max poolings, 3 x 3 with stride 2, round their size up.

    The published network rectifies its logits (relu10, before they are averaged), which training survives with 1000
    classes; with few, a class whose logit is 0 everywhere gets no gradient and never comes back. So the ReLU is there
    with 1000 classes, as in the published weights, and left out with any other number unless `rectified` says so.

    Source: Iandola et al. 2016 (arXiv 1602.07360), table 1.
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, rectified: bool | None = None) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(in_channels, 96, 7, 2), relu1=nn.ReLU(), pool1=_pool()
        )
        before = 96
        for number, (squeeze, expand) in _FIRES.items():
            layers[f"fire{number}"] = Fire(before, squeeze, expand)
            before = 2 * expand
            if number in (4, 8):
                layers[f"pool{number}"] = _pool()
        layers["drop9"] = nn.Dropout(0.5)
        layers["conv10"] = nn.Conv2d(before, num_classes, 1)
        if num_classes == 1000 if rectified is None else rectified:
            layers["relu10"] = nn.ReLU()
        layers["pool10"] = nn.AdaptiveAvgPool2d(1)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.initialise()

    def initialise(self) -> None:
        """Draw all weights anew: Kaiming normal for ReLU (fan in), conv10 normal with deviation 0.01; biases are 0.

        conv1 starts as if its input, whose values span some 255, had a deviation of 1. On the meta device there is
        nothing to do.
        """
        if next(self.parameters()).is_meta:
            return
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                if name == "conv10":
                    nn.init.normal_(module.weight, std=0.01)
                else:
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.get_parameter("conv1.weight").div_(INPUT_DEVIATION)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, num_classes] of images [n, in_channels, h, w]."""
        x = images
        for layer in self.children():
            x = layer(x)
        return torch.flatten(x, 1)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)
