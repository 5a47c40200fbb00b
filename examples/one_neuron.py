"""
One neuron, three methods
=========================

The strongest neuron of a layer goes back to the image along three rules. Only the ReLU differs: DeSaliNet
keeps what was open in the forward pass and positive on the way back, saliency (the gradient) the first alone,
DeconvNet the second alone.
"""

from networks import after, images, preprocessing

import desali

recording = desali.record(after, images[20:21])
neuron = desali.Seed.top(1)

desali.show(recording, "features.relu4", neuron, "desalinet", preprocessing=preprocessing, title="DeSaliNet")

# %%
# The gradient has noise that DeSaliNet lacks.

desali.show(recording, "features.relu4", neuron, "saliency", preprocessing=preprocessing, title="Saliency (gradient)")

# %%
# DeconvNet also passes through ReLUs that were closed.

desali.show(recording, "features.relu4", neuron, "deconvnet", preprocessing=preprocessing, title="DeconvNet")
