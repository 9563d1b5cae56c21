"""The engine: contracts, the loop, models, running, storing, reporting."""
