"""A small network in the manner of VGG: 3 x 3 convolutions, batch normalisation, a global average at the end."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

CHANNELS = (16, 32, 64, 96, 96, 128)
"""Output channels of conv1 to conv6."""
POOLED = (1, 2, 3, 5)
"""Convolutions that a 2 x 2 max pooling follows."""


class VGGSmall(nn.Module):
    """Six convolutions in `features`, global average and one linear layer in `classifier`; 273,783 parameters with 7
    classes and grey input.

    Input [n, in_channels, 64, 64] or another size of at least 16, values standardised by the preprocessing (mean 0.5,
    deviation 0.25); output [n, num_classes] logits. Each convolution is 3 x 3 with padding 1 and no bias, then batch
    normalisation and ReLU.

    Weights start as Kaiming normal values for ReLU (He et al. 2015, eq. 10, fan in), the classifier's ten times
    smaller, so that the first predictions prefer no class.

    Sources: Simonyan and Zisserman 2015 (small kernels), Ioffe and Szegedy 2015 (batch normalisation), Lin, Chen and
    Yan 2014 (global average pooling).
    """

    def __init__(self, num_classes: int = 7, in_channels: int = 1) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        before = in_channels
        for number, channels in enumerate(CHANNELS, 1):
            layers[f"conv{number}"] = nn.Conv2d(before, channels, 3, padding=1, bias=False)
            layers[f"norm{number}"] = nn.BatchNorm2d(channels)
            layers[f"relu{number}"] = nn.ReLU()
            if number in POOLED:
                layers[f"pool{number}"] = nn.MaxPool2d(2)
            before = channels
        self.features = nn.Sequential(layers)
        self.classifier = nn.Sequential(
            OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), fc=nn.Linear(before, num_classes))
        )
        self.initialise()

    def initialise(self) -> None:
        """Draw all weights anew from torch's default generator; biases become 0. Nothing to do on the meta device."""
        if next(self.parameters()).is_meta:
            return
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
        with torch.no_grad():
            self.classifier.get_parameter("fc.weight").mul_(0.1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, num_classes] of images [n, in_channels, h, w]."""
        logits: Tensor = self.classifier(self.features(images))
        return logits
