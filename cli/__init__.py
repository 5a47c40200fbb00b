"""The command line of desali: it parses, calls the library and prints."""
