"""Results as pages to look at, click on and hand on: `desali report`.

`found` reads what other commands left; `sheets` and `gallery` draw what is missing through `comparison` and `figures`;
`depth`, `evaluated`, `robust` and `origin` put each kind of result into words, numbers and `charts`; `page` makes the
HTML from `templates/` and the one view module in `view/`, which knows no server and is the same for every page.
No number is computed here that another room could give. Nothing else but the command line may import this room.

Touch from outside: `report.report`.
"""
