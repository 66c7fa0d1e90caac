"""Operators from functions at sensors to functions at any points: branch and trunk networks."""
