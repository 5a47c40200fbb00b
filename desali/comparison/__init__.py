"""What differs between models, in numbers: what each model makes of an image, likeness, controls, selectivity.

Everything here returns numbers with their nulls beside them; drawing them is the business of `desali.figures`.
"""
