"""The networks and filters that metrics use: published weights where they have been fetched, bundled ones elsewhere."""
