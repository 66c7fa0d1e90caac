"""Symmetries of grids: what they do to fields, and surrogates that are averaged over them."""
