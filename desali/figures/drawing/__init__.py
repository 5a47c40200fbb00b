"""Drawing alone: arrays and words in, pictures out. No models, no recordings, no files but the picture's own."""
