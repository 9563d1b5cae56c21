"""Results on disk: results folders, typed records, and files of records; whole or absent, and checked on read."""
