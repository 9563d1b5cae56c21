"""The command line: commands that make results, read results, examine components, and fetch weights."""
