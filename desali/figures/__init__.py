"""From models and images to pictures: `viewer` for one image, `batch` for many, `sidecar` for the record beside each.

Here it is decided what stands beside what; `drawing` puts it on paper. No number is computed here that `comparison` could
give.
"""
