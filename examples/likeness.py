"""
How far a likeness can be trusted
=================================

One random network and one image give one number. Five random networks and twelve images show
how far it scatters: a difference between two models that is smaller than this scatter shows
nothing.
"""

import matplotlib.pyplot as plt

import desali
from desali.comparison.controls import likeness, randomised
from networks import after, images

layers = [
    "features.relu1",
    "features.relu2",
    "features.relu3",
    "features.relu4",
    "features.relu5",
]
chosen = images[::12][:12]


def maps(model):
    """Maps [N, h, w] of each layer."""
    found = desali.record(model, chosen).reconstruct(layers, desali.Seed.layer())
    return {layer: maps[:, 0].sum(1) for layer, maps in found.items()}


trained = maps(after)
controls = [maps(randomised(after, seed)) for seed in range(5)]
values = [
    [
        likeness(ours, theirs)
        for control in controls
        for ours, theirs in zip(trained[layer], control[layer], strict=True)
    ]
    for layer in layers
]
figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.boxplot(values, tick_labels=[layer.removeprefix("features.") for layer in layers])
axes.set_ylim(-1, 1)
axes.axhline(0, color="grey", linewidth=0.5)
axes.set_ylabel("rank correlation with random weights")
axes.set_title("DeSaliNet from whole layers: 12 images x 5 random networks")
