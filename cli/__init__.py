"""The command line of desali: it parses, calls the library and prints; installed as `desali.cli`.

`main` lists the commands, one module each; options that several share stand in `parameters`, those made from
dataclasses in `options`. A new command is a module here and a line in `main.SECTIONS`. The library imports nothing of
it.
"""
