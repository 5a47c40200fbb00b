"""What meets the user: options that come in; files, printed tables and what objects say of themselves that go out.

`options` describes a setting once, for Python, command line, configuration and docs; `files` writes whole or not at
all, `columns` aligns tables, `summary` is a line in a console or a table in a notebook.

Touch from outside: all four. They know nothing but `desali.errors`; whatever writes a file does it by `files`.
"""
