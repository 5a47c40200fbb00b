"""Drawing alone: arrays and words in, pictures out. No models, no recordings, no files but the picture's own.

`panel` is a figure as data, `grid` puts it on paper, `display` makes colours of numbers, `text` breaks lines.

Touch from outside: `panel.Grid` and its parts, `grid.draw`, `grid.save`, and the functions of `display`.
"""
