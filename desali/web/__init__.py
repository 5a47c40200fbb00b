"""Results as pages to look at, click on and hand on: `desali report` (`report/`) and `desali explore` (`explorer/`).

Both share what stands here: `found` reads what other commands left, `options` are theirs, `pictures` and `pixels` make
images, and `page` makes the HTML from `templates/` and the one view module in `view/`, which knows no server and is the
same for every page.

No number is computed here that another room could give. Nothing else but the command line and `desali.explore` may
import this room.

Touch from outside: `report.report.report`, `explorer.widget.explore`.
"""
