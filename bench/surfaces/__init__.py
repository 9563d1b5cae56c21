"""What views look at: surfaces and the canvases they lay out. Read by data sets, methods and metrics alike."""
