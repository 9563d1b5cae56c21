"""Can the numbers be trusted? Contracts of components, report cards of metrics, the exact oracle of methods."""
