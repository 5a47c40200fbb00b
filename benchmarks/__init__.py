"""Benchmarks of desali: cases -> JSON -> Markdown table and chart. Run from a source checkout; not packaged."""
