"""Results as pages to look at, click on and hand on: `desali report` and `desali explore`.

`found` reads what other commands left; `sheets` and `gallery` draw what is missing through `comparison` and `figures`;
`depth`, `evaluated`, `robust` and `origin` put each kind of result into words, numbers and `charts`; `page` makes the
HTML from `templates/` and the one view module in `view/`, which knows no server and is the same for every page.
Of the explorer, `session` turns a state into JSON and pictures and knows no HTTP: `asked` and `addressed` read it,
`networks` and `shelf` hold models and images, `cards` says what is known of them; `placed`, `seen` and `mapped` project
and draw, `drawn` does so with more random weights, `contrasts` finds classes, `views` and `told` answer, `hands` are
their threads, `followed`, `patches`, `commands` and `exported` add what stands beside.
`guard` is its security, `app` the routes, `server` listens, `widget` is the same in a notebook.

No number is computed here that another room could give. Nothing else but the command line and `desali.explore` may
import this room.

Touch from outside: `report.report`, `widget.explore`.
"""
