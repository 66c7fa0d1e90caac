"""Diffusion on graphs: GRAND, GREAD, sheaf networks, and what they are measured against."""
