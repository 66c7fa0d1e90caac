"""MACE: message passing of higher body order.

- :mod:`~sciml.surrogates.particles.mace.mace`: the network, its presets and options;
- :mod:`~sciml.surrogates.particles.mace.irreps`: how features of several irreps lie in memory;
- :mod:`~sciml.surrogates.particles.mace.coupling`: Clebsch-Gordan coefficients, bases of polynomials;
- :mod:`~sciml.surrogates.particles.mace.contraction`: the product of up to three features;
- :mod:`~sciml.surrogates.particles.mace.convolution`: sums over neighbours;
- :mod:`~sciml.surrogates.particles.mace.edges`: pairs, once each, and where they are wanted;
- :mod:`~sciml.surrogates.particles.mace.repulsion`: of nuclei that come close.
"""
