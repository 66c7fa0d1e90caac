"""Layers that are one operator at every resolution, and the conversion."""
