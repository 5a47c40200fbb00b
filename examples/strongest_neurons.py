"""
The nine strongest neurons
==========================

Nine neurons of one layer, chosen for this image, in one batch: one recorded forward pass serves them all.
Each map is zero outside what its neuron can see. In the row below stand the same places in a network with
random weights.
"""

from networks import after, images, lungs, preprocessing

import desali

recording = desali.record(after, images[20:21])
desali.show(recording, "features.relu5", desali.Seed.top(9), preprocessing=preprocessing, classes=lungs.classes)
