"""Models: what denoises. Ids are file names here; see `interface.py` for what a model must offer."""
