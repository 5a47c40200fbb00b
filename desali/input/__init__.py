"""Reading what others wrote: regular files alone, within `desali.limits`, every failure one line.

Knows bytes, text, JSON, TOML, arrays and torch's files; what they mean is for the packages above.
"""
