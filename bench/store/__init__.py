"""Results on disk: folders, typed records, one file of records. Whole or absent, checked when read."""
