"""Suites: TOML files that list the methods, models, data sets and metrics of a sweep, and options that narrow them."""
