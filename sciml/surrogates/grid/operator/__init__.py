"""Layers that are the same operator at every resolution, and the conversion of networks into them."""
