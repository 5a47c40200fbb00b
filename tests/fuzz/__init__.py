"""Our fuzzer: seeded mutations of valid files for every reader, and random arguments for the ops (`make fuzz`)."""
