"""Tests of components, metrics and methods: contracts, report cards, and an exact law to compare methods with."""
