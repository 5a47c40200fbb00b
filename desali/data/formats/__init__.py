"""One reader per family of file formats; `desali.data.roi` chooses among them by content, never by suffix."""
