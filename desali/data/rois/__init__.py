"""ROI tables from annotations: boxes and masks become squares of one length in millimetres, a line each.

`slices` knows the images: patient, spacing, size; `boxes` and `masks` read annotations; `placing` says where squares
lie; `make` does it all and writes the table that the reader `table:` takes.

Touch from outside: `make.rois` and `options.RoiOptions`.
"""
