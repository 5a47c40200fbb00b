"""
One class
=========

A class's output (its logit, before softmax) as the seed. The two classes that this network finds most likely
are asked about the same region: what they share is the image, and their difference is small beside it. Such a
map explains no decision.
"""

import torch
from networks import after, images, lungs, preprocessing

import desali

recording = desali.record(after, images[20:21])
probabilities = torch.softmax(recording.output[0], 0)
first, second = probabilities.topk(2).indices.tolist()
seeds = [desali.Seed.logit(first), desali.Seed.logit(second)]
desali.show(recording, "classifier.fc8", seeds, preprocessing=preprocessing, classes=lungs.classes)
