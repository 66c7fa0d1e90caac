"""Neural operators on uniform grids."""
