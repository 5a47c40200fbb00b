"""One small network for each of the building blocks that well-known CNNs are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def settle(model: nn.Module, dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Module:
    """Evaluation mode with batch-norm statistics and biases that matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                for tensor, low, high in (
                    (module.weight, -1.0, 1.5), (module.bias, -0.5, 0.5), (module.running_mean, -0.5, 0.5),
                    (module.running_var, 0.5, 2.0),
                ):  # fmt: skip
                    if tensor is not None:
                        tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5 * 1.4)
    return model.eval().to(dtype)


class BasicBlock(nn.Module):
    """Residual block: one ReLU module used twice in place, an addition in place, a strided shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.downsample: nn.Module | None = None
        if stride > 1 or before != after:
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5, 2, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(6, 6, 1), BasicBlock(6, 8, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layer1(x)), 1))


class DenseLayer(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, growth, 3, padding=1, bias=False)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.conv1(F.relu(self.norm1(torch.cat(features, 1))))


class Dense(nn.Module):
    """Dense block with functional ReLUs and a transition with average pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 4, 3, padding=1)
        self.layers = nn.ModuleList([DenseLayer(4 + 3 * i, 3) for i in range(3)])
        self.transition = nn.Sequential(nn.BatchNorm2d(13), nn.ReLU(inplace=True), nn.Conv2d(13, 6, 1), nn.AvgPool2d(2))
        self.norm5 = nn.BatchNorm2d(6)
        self.classifier = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.conv0(x)]
        for layer in self.layers:
            features.append(layer(features))
        out = F.relu(self.norm5(self.transition(torch.cat(features, 1))), inplace=True)
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(out, (1, 1)), 1))


class Inception(nn.Module):
    """Four branches of different receptive fields; functional poolings, one of them an average with padding."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 5, 3, 2)
        self.one = nn.Conv2d(5, 3, 1)
        self.three = nn.Sequential(nn.Conv2d(5, 3, 1), nn.ReLU(), nn.Conv2d(3, 4, 3, padding=1))
        self.wide = nn.Sequential(
            nn.Conv2d(5, 4, (1, 5), padding=(0, 2)), nn.ReLU(), nn.Conv2d(4, 4, (5, 1), padding=(2, 0))
        )
        self.pool = nn.Conv2d(5, 2, 1)
        self.head = nn.Conv2d(13, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2, ceil_mode=True)
        pooled = F.avg_pool2d(x, 3, 1, 1) + F.max_pool2d(x, 3, 1, 1)
        parts = [self.one(x), self.three(x), self.wide(x), self.pool(pooled)]
        return F.relu(self.head(F.relu(torch.cat(parts, 1)))).mean([2, 3])


class Fire(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, 2)
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.squeeze = nn.Conv2d(6, 4, 1)
        self.expand1x1 = nn.Conv2d(4, 5, 1)
        self.expand3x3 = nn.Conv2d(4, 5, 3, padding=1)
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(10, 4, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.squeeze(self.pool(self.act(self.conv(x)))))
        x = torch.cat([self.act(self.expand1x1(x)), self.act(self.expand3x3(x))], 1)
        return torch.flatten(self.classifier(x), 1)


class InvertedResidual(nn.Module):
    """ReLU6, depthwise convolution, linear bottleneck, shortcut; a hardtanh(0, 6) at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU6(inplace=True))
        self.conv = nn.Sequential(
            nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.ReLU6(inplace=True),
            nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4),
        )  # fmt: skip
        self.head = nn.Conv2d(4, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(3 * x)
        x = x + self.conv(x)
        return F.hardtanh(self.head(4 * x), 0.0, 6.0).mean((2, 3))


class Shuffle(nn.Module):
    """Channel split and shuffle by view and transpose, and by nn.ChannelShuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        self.branch = nn.Sequential(
            nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3, 1, 1, groups=4),
            nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.shuffle = nn.ChannelShuffle(4)
        self.last = nn.Conv2d(8, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        first, second = x.chunk(2, dim=1)
        x = torch.cat((first, self.branch(second)), dim=1)
        n, c, height, width = x.size()
        x = x.view(n, 2, c // 2, height, width).transpose(1, 2).contiguous().view(n, c, height, width)
        return torch.relu(self.last(self.shuffle(x)))[:, 1:4].mean(3).mean(2)


class Gated(nn.Module):
    """Squeeze and excitation with a sigmoid and with a hard sigmoid, and a full-size gate."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 2)
        self.excite = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 3, 1), nn.ReLU(), nn.Conv2d(3, 6, 1), nn.Sigmoid()
        )
        self.hard = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 6, 1), nn.Hardsigmoid(inplace=True))
        self.spatial = nn.Sequential(nn.Conv2d(6, 1, 3, padding=1), nn.Sigmoid())
        self.last = nn.Conv2d(6, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.stem(x))
        x = self.excite(x) * x
        x = x * self.hard(x)
        return F.relu(self.last(x * self.spatial(x) + 0.5 * x * x)).amax((2, 3))


class Volume(nn.Module):
    """Three spatial dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(4, 4, 3), nn.ReLU(),
            nn.AvgPool3d(2),
        )  # fmt: skip
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).mean((2, 3, 4)))


class Line(nn.Module):
    """One spatial dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(2, 6, 5, 2, 2), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(3, 2, 1),
            nn.Conv1d(6, 4, 3, dilation=2), nn.ReLU(),
        )  # fmt: skip
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.adaptive_avg_pool1d(self.features(x), 1).flatten(1))


class Modern(nn.Module):
    """ConvNeXt's block: depthwise convolution, layer normalisation over channels, GELU; no ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 4, 4)
        self.block = nn.ModuleDict(
            {
                "dw": nn.Conv2d(6, 6, 3, padding=1, groups=6), "norm": nn.LayerNorm(6), "up": nn.Linear(6, 12),
                "gelu": nn.GELU(), "down": nn.Linear(12, 6),
            }
        )  # fmt: skip
        self.scale = nn.Parameter(torch.full((6, 1, 1), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.block["norm"](self.block["dw"](x).permute(0, 2, 3, 1))
        y = self.block["down"](self.block["gelu"](self.block["up"](y))).permute(0, 3, 1, 2)
        return (x + self.scale * y).mean((2, 3))


class Attention(nn.Module):
    """A vision transformer's block: patches, a class token, self-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).permute(0, 2, 1)
        tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), tokens], 1)
        y = self.norm(tokens)
        tokens = tokens + self.attention(y, y, y, need_weights=False)[0]
        return (tokens + self.mlp(tokens))[:, 0]


SHAPES: dict[type[nn.Module], tuple[int, ...]] = {
    Residual: (3, 33, 31), Dense: (3, 16, 18), Inception: (3, 27, 25), Fire: (3, 29, 26), InvertedResidual: (3, 17, 19),
    Shuffle: (3, 32, 28), Gated: (3, 19, 17), Volume: (1, 10, 11, 9), Line: (2, 40), Modern: (3, 24, 20),
    Attention: (3, 24, 16),
}  # fmt: skip


def build(kind: type[nn.Module], n: int = 2, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Tensor]:
    """The network and images for it."""
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(2)
    return settle(kind(), dtype), torch.randn(n, *SHAPES[kind], generator=generator, dtype=torch.float64).to(dtype)
