"""Surfaces that views look at (strip, sphere, atlas, tracks) and their canvases, with cameras and meshes."""
