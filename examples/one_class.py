"""
One class
=========

A class's output (its logit, before softmax) as the seed. The two classes that this network
finds most likely are asked about the same region, and their maps are nearly the same: what they
share is the image. Such a map explains no decision.
"""

import torch

import desali
from desali.comparison.controls import likeness
from networks import after, image, lungs, preprocessing

recording = desali.record(after, image)
probabilities = torch.softmax(recording.output[0], 0)
first, second = probabilities.topk(2).indices.tolist()
seeds = [desali.Seed.logit(first), desali.Seed.logit(second)]
desali.show(
    recording, "classifier.fc8", seeds, preprocessing=preprocessing, classes=lungs.classes
)

# %%
# The rank correlation of the two maps.

maps = recording.reconstruct("classifier.fc8", seeds)[0].sum(1)
print(f"{lungs.classes[first]} : {lungs.classes[second]} {likeness(*maps):.2f}")
