"""Record one forward pass of a CNN, then project any neuron, channel or layer back to image space.

The way through the room: `layers` knows every kind of layer; `graph` turns a module into a Network of them; `recording`
runs it once and keeps masks and switches; `seeds` and `methods` say what is projected and by which rule, `placing` puts
a seed on a layer; `reconstruction` cuts the work into portions and `sweep` walks down the network, layer by layer.
`receptive_field` says what a neuron can see.

It knows tensors and modules, never files, figures or training. A new kind of layer is one class in `layers`, or one of
your own with `desali.register_layer`; nothing else is touched.
"""
