"""
One neuron, three methods
=========================

The strongest neuron of a layer goes back to the image along three rules. Only the ReLU differs:
DeSaliNet keeps what was open in the forward pass and positive on the way back, saliency (the
gradient) the first alone, DeconvNet the second alone.
"""

import desali
from networks import after, image, preprocessing

recording = desali.record(after, image)
neuron = desali.Seed.top(1)

desali.show(
    recording,
    "features.relu4",
    neuron,
    "desalinet",
    preprocessing=preprocessing,
    title="DeSaliNet",
)

# %%
# The gradient does not stop what turned negative on the way back: it is the noisier one.

desali.show(
    recording,
    "features.relu4",
    neuron,
    "saliency",
    preprocessing=preprocessing,
    title="Saliency (gradient)",
)

# %%
# DeconvNet also passes through ReLUs that were closed.

desali.show(
    recording,
    "features.relu4",
    neuron,
    "deconvnet",
    preprocessing=preprocessing,
    title="DeconvNet",
)
