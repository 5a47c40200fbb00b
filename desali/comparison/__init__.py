"""What differs between models, in numbers: lineage, similarity, probes, purity, likeness, controls, selectivity.

`lineage` follows channels through training and adds the numbers by layer: `similarity`, `probe` and `purity`, gathered
by `numbers` from the `descriptors` that its one pass over the images leaves. `views` is what a model makes of images,
layer by layer; `controls` the network with random weights and how alike two maps are; `kinship` which channels of
several models are the same and `one_channel` which one of a layer is shown; `differences` where weights differ;
`selectivity` what channels answer to, asked with the `stimuli`. Numbers come with their nulls beside them.

Touch from outside: `desali.lineage`, `controls.randomised`, `controls.likeness`, `controls.likeness_null`,
`views.looks` and `selectivity.selectivity`. Nothing here draws; that is the business of `desali.figures`.
"""
