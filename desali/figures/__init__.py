"""From models and images to pictures: `show` for one recording, `compare` for several models, `batch` for many images.

`subjects` checks the models and `inputs` the image, `viewer` looks, `rows` decides what stands beside what and `facts`
what is said of it; `figure` is what comes out and `sidecar` its record on disk; `drawing` puts it on paper. No number
is computed here that `comparison` could give. What is shown by default stands in `sources`; `options` is what a command
line can ask of all this, and its defaults are everybody's.

Touch from outside: `desali.show`, `desali.compare`, the `Figure` that they return, and `viewer.Viewer` for many images
of the same models.
"""
