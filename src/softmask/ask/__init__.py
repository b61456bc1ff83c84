"""A model asked from the command line: `softmask explain`, `score`, `embed`, `search`, `export`."""
