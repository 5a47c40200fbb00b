"""Image sets: what they are, where they are read from, and synthetic ones; import the module that is needed."""
