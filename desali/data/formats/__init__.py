"""One module per family of file formats: bytes in, pixels with their unit out; patients' names stay in the file.

`desali.data.roi` chooses among them by content, never by suffix. Touch from outside: nothing; use
`desali.data.roi.read_roi`.
"""
