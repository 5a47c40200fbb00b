"""
A layer of one's own
====================

The pooling of ``after`` is replaced by a blur that desali does not know. It is reversed
correctly all the same, but a neuron behind it is taken to see the whole image. One class says
that the blur reaches a 3 x 3 window, and the window of what a neuron sees becomes small.
"""

import copy

import torch

import desali
from desali.reversal.layers import Adjoint, registered, windows
from networks import after, image, preprocessing


class Blur(torch.nn.Module):
    """Smooth every channel by a fixed 3 x 3 kernel, then take every second pixel."""

    def forward(self, x):
        n, c, height, width = x.shape
        kernel = torch.tensor([1.0, 2.0, 1.0])
        planes = x.reshape(n * c, 1, height, width)
        blurred = torch.nn.functional.conv2d(
            planes, torch.outer(kernel, kernel)[None, None] / 16, stride=2, padding=1
        )
        return blurred.reshape(n, c, *blurred.shape[2:])[..., :15, :15]


class Smoothing(Adjoint):
    """What desali must know of it."""

    modules = (Blur,)
    batchwise = True
    reach = windows(3, stride=2, padding=1)

    @classmethod
    def recognise(cls, call):
        return cls()

    def needs_inputs(self, method):
        return False


model = copy.deepcopy(after)
model.features.pool1 = Blur().eval()
print("without:", desali.record(model, image).receptive_field("features.conv2", (7, 7)))
with registered(Smoothing):
    recording = desali.record(model, image)
    print("with:", recording.receptive_field("features.conv2", (7, 7)))
    figure = desali.show(
        recording, "features.relu2", desali.Seed.top(4), preprocessing=preprocessing
    )
figure
