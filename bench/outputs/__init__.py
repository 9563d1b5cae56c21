"""Outputs of other programs: found and matched with items, read, imported as artifacts, scored in memory."""
