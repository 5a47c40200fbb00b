"""CaffeNet without groups, and a small network of the same topology for 64 x 64 images and a laptop."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

LRN_K, LRN_BETA = 2.0, 0.75
INPUT_MEAN, INPUT_DEVIATION = 0.5, 0.25
"""Of a typical pixel value in [0, 1]; they shape the first weights only."""


@dataclass(frozen=True)
class Geometry:
    """What differs between networks of the CaffeNet topology.

    Attributes:
        input_size: height and width of the image in pixels.
        channels: output channels of conv1 to conv5.
        kernels: kernel sizes of conv1 to conv5.
        stride: stride of conv1; the other convolutions have stride 1.
        padding: zero padding of conv1; the others keep their input's size.
        hidden: output features of fc6 and fc7.
        dropout: drop probability after fc6 and fc7.
    """

    input_size: int
    channels: tuple[int, int, int, int, int]
    kernels: tuple[int, int, int, int, int]
    stride: int
    padding: int
    hidden: int
    dropout: float = 0.5

    @property
    def pool5_size(self) -> int:
        """Height and width of the map after pool5, in neurons."""
        size = (self.input_size + 2 * self.padding - self.kernels[0]) // self.stride + 1
        for _ in range(3):
            size = (size - 3) // 2 + 1
        return size


CAFFENET = Geometry(227, (96, 256, 384, 384, 256), (11, 5, 3, 3, 3), stride=4, padding=0, hidden=4096)
CAFFENET_SMALL = Geometry(64, (32, 64, 96, 96, 64), (7, 5, 3, 3, 3), stride=2, padding=3, hidden=256, dropout=0.2)


class CaffeNet(nn.Module):
    """CaffeNet with ungrouped convolutions: five convolutions in `features`, three linear layers in `classifier`.

    Input [n, in_channels, 227, 227] with values in [0, 1]; output [n, num_classes] logits. It has 62,378,344
    parameters with 1000 classes and 58,310,023 with 7. LRN has n = 5, k = 2, beta = 0.75 and alpha = 1e-4 per channel,
    which PyTorch, dividing alpha by n, writes as 5e-4.

    Weights start as Kaiming normal values for ReLU (He et al. 2015, eq. 10, fan in) and biases at 0, with three
    corrections, so that the network trains in few epochs: conv1 starts as if the image were standardised,
    (x - 0.5) / 0.25; the layers behind an LRN make up for its division by k ** beta; fc8 is ten times smaller, so that
    the first predictions prefer no class.

    Source: Krizhevsky et al. 2012, section 3.5, in the one-column form of Suzuki et al. (arXiv 1810.06282).
    """

    geometry = CAFFENET

    def __init__(self, num_classes: int = 7, in_channels: int = 3) -> None:
        super().__init__()
        g = self.geometry
        c1, c2, c3, c4, c5 = g.channels
        k1, k2, k3, k4, k5 = g.kernels
        self.features = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(in_channels, c1, k1, g.stride, g.padding),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(3, 2),
                norm1=_normalisation(),
                conv2=nn.Conv2d(c1, c2, k2, padding=k2 // 2),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(3, 2),
                norm2=_normalisation(),
                conv3=nn.Conv2d(c2, c3, k3, padding=k3 // 2),
                relu3=nn.ReLU(),
                conv4=nn.Conv2d(c3, c4, k4, padding=k4 // 2),
                relu4=nn.ReLU(),
                conv5=nn.Conv2d(c4, c5, k5, padding=k5 // 2),
                relu5=nn.ReLU(),
                pool5=nn.MaxPool2d(3, 2),
            )
        )
        self.classifier = nn.Sequential(
            OrderedDict(
                fc6=nn.Linear(c5 * g.pool5_size**2, g.hidden),
                relu6=nn.ReLU(),
                drop6=nn.Dropout(g.dropout),
                fc7=nn.Linear(g.hidden, g.hidden),
                relu7=nn.ReLU(),
                drop7=nn.Dropout(g.dropout),
                fc8=nn.Linear(g.hidden, num_classes),
            )
        )
        self.initialise()

    def initialise(self) -> None:
        """Draw all weights anew from torch's default generator; biases become 0. Nothing to do on the meta device."""
        if next(self.parameters()).is_meta:  # also spares importing the compiler, which a draw on meta would do
            return
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        first = self.features.get_submodule("conv1")
        assert isinstance(first, nn.Conv2d)
        assert first.bias is not None
        with torch.no_grad():
            self.classifier.get_parameter("fc8.weight").mul_(0.1)
            first.weight.mul_(1 / INPUT_DEVIATION)
            first.bias.sub_(INPUT_MEAN * first.weight.sum((1, 2, 3)))
            for name in ("conv2", "conv3"):
                self.features.get_parameter(f"{name}.weight").mul_(LRN_K**LRN_BETA)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, num_classes] of images [n, in_channels, input_size, input_size]."""
        logits: Tensor = self.classifier(torch.flatten(self.features(images), 1))
        return logits


class CaffeNetSmall(CaffeNet):
    """The topology of `CaffeNet` for 64 x 64 images: 465,095 parameters with 7 classes and 3 input channels.

    Its linear layers are narrow, so dropout is 0.2 instead of 0.5.
    """

    geometry = CAFFENET_SMALL


def _normalisation() -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=LRN_BETA, k=LRN_K)
