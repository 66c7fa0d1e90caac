"""Networks on particles: molecules, and bodies that move. What all of them share:

- :mod:`~sciml.surrogates.particles.neighbours`: pairs as structures, ``neighbours`` and ``shift``;
- :mod:`~sciml.surrogates.particles.edges`: vectors and lengths of them, radial functions, sums.
"""
