"""Pure geometry: surfaces and the canvases they lay out. Read by datasets, methods and metrics alike."""
