"""Layouts of public data sets and of a user's folders: which files belong to which item. Nothing is downloaded."""
