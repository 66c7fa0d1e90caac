"""What is solved: fluxes, characteristic speeds, exact solutions; array-generic, no torch."""
