"""What Sphinx needs beside its extensions: pictures of the gallery's scripts, and the tables of the benchmarks."""
