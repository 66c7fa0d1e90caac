"""Operator learning and scientific surrogates, trained online from MPI solvers."""
