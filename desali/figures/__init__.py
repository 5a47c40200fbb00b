"""From models and images to pictures: `show` for one recording, `compare` for several models, `batch` for many images.

`settings` is what is shown and how, and `options` what a command line can ask of it, with everybody's defaults.
`subjects` checks the models, `inputs` the image and `layers` the layers' names; `sources` holds what is shown by
default; `kin` follows channels from model to model. `viewer` holds all that for many images and `looking` looks at one;
what was seen is a `block`. `rows` lays it out, each `row` with what its maps have in common (`alike`) and the words of
`captions`; `lead`, `facts` and `footnote` say what is said of it. `figure` is what comes out and `sidecar` its record
on disk; `drawing` puts it on paper. No number is computed here that `comparison` could give.

Touch from outside: `desali.show`, `desali.compare`, the `Figure` that they return, and `viewer.Viewer` for many images
of the same models.
"""
