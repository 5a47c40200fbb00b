"""A page to click on: a server on this machine, or a notebook's widget.

`session` turns a state into JSON and pictures and knows no HTTP. `state` and `address` read what a page sends;
`networks` and `shelf` hold models and images, `fitting` says which image a model takes, `cards` what is known of it,
`followed` holds a lineage.
`seeding` finds what is projected, `projection` projects it, `rendering` makes its pixels, `draws` does so with more
random weights, `class_pairs` finds the classes of a contrast, `patches` what a channel answers to. `views` answers with
`facts`, in the threads of `hands`; `layers` names layers, `memory` keeps recordings and `turns` their queue;
`meaning` is what a page says of its numbers, `dropped` takes files; `commands`, `export` and `to_file` make the same
view elsewhere.
`guard` is the security, `decoding` reads dropped files in a process of its own, `app` has the routes, `server` listens,
`opened` begins, `widget` is the same in a notebook.
"""
