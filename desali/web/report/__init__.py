"""One self-contained page of results: `report.report`.

`from_results` takes up what other commands left, `from_models` and `gallery` draw what is missing through `comparison`
and `figures`. `lineage_words` and `lineage_curves` say and show what changed, `sheets` what channels look for;
`evaluated` and `robustness` are metrics with their intervals, `provenance` and `image_sets` say where all comes from;
`charts` draws curves and bars.
"""
