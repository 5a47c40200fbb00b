"""What leaves the program: `files` writes them whole or not at all, `columns` aligns printed tables."""
