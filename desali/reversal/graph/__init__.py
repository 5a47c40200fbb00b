"""Any `torch.nn.Module` as a Network of layers in forward order: capture, names, running it, and noticing changes.

`capture` is the door: it chooses between `chain` (plain chains, no export) and `convert` (an exported program), and
checks the result bit by bit against the module; `kinds` tries what users registered. `freshness` is the one place that
answers "has it changed?": `state` walks over a model, `structure` and `marks` say what a capture depends on. What layer
a call is, `layers` knows; nothing here knows how a layer is reversed.

Touch from outside: `capture.capture`, `network.Network`, and `share.adopt` for models of one structure.
"""
