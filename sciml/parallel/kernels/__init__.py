"""Loops over grid points, compiled by numba. Importing a module of this folder imports numba and
compiles or loads its kernels: 0.3 to 0.5 s, and a second or two the first time on a machine."""
