"""Files: read within limits, written whole or not at all, and cleared when their process is gone."""
