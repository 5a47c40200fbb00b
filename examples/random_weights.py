"""
The control: random weights
===========================

A network that has learned nothing, on the same image. From whole layers, DeSaliNet draws nearly
the same picture with random weights: the mask and the switches carry the image's edges,
whatever the weights. From one neuron of a late layer less of that is left.
"""

import desali
from desali.comparison.controls import likeness, randomised
from networks import after, image, preprocessing

recording = desali.record(after, image)
desali.show(
    recording, ["features.relu1", "features.relu3", "features.relu5"], preprocessing=preprocessing
)

# %%
# The same in numbers, by method.

control = desali.record(randomised(after, seed=1), image)
for method in ("desalinet", "deconvnet", "saliency"):
    for layer in ("features.relu1", "features.relu5"):
        maps = [
            made.reconstruct(layer, desali.Seed.layer(), method)[0, 0].sum(0)
            for made in (recording, control)
        ]
        print(f"{method:10} {layer:15} likeness to random weights {likeness(*maps):.2f}")
