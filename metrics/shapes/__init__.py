"""Features of the vertices of meshes: pairs of shapes, matches, and distances on a surface."""
