"""What leaves the program: files, printed tables, and what objects say of themselves.

`files` writes whole or not at all, `columns` aligns tables, `summary` is a line in a console or a table in a notebook.

Touch from outside: all three. They know nothing but `desali.errors`; whatever writes a file does it by `files`.
"""
