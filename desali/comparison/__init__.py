"""What differs between models, in numbers: what each model makes of an image, likeness, controls, selectivity.

`views` is what a model makes of images, layer by layer; `controls` the network with random weights and how alike two
maps are; `kinship` which channels of several models are the same and `choice` which one of a layer is shown;
`differences` where weights differ; `selectivity` what channels answer to, asked with the `stimuli`. Numbers come with their nulls beside them.

Touch from outside: `controls.randomised`, `controls.likeness`, `views.looks` and `selectivity.selectivity`. Nothing
here draws; that is the business of `desali.figures`.
"""
