"""
The nine strongest neurons
==========================

Nine neurons of one layer, chosen for this image, in one batch: one recorded forward pass serves
them all. Each map is zero outside what its neuron can see; channel, position and window stand
below it. The control is the strongest neuron of the same network with random weights.
"""

import desali
from networks import after, image, lungs, preprocessing

recording = desali.record(after, image)
desali.show(
    recording,
    "features.relu5",
    desali.Seed.top(9),
    preprocessing=preprocessing,
    classes=lungs.classes,
)
