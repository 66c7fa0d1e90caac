"""Diffusion on a network: ``mpirun -n 2 python network_diffusion.py --nodes 200 --out network.nc``."""

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from sciml.domain import Field, Graph
from sciml.equations import network_diffusion
from sciml.equations.stability import stable_step
from sciml.errors import InputError
from sciml.parallel import Rows
from sciml.solver import (
    Integrator,
    Option,
    Parameter,
    Program,
    initial_fields,
    initial_option,
    main,
    orders,
    scheme_option,
)

SCHEME = scheme_option("rk4", "heun", "euler")


class NetworkDiffusion(Program):
    """Diffusion on a random geometric graph with conductances on its edges, Runge–Kutta in time.

    du_i/dt = Σ_j w_ij (u_j − u_i). Nodes lie anywhere in the unit square, each seed has a graph of its
    own, or all have that of ``network``; those closer than ``radius`` are joined, each to π radius² of
    the nodes. w is log-normal.
    Fields: u (node); static: conductance (edge), position (node, 2). Each rank computes du/dt at a run
    of the nodes, and all ranks hold u.

    Steps are limited to R / (2 max_i Σ_j w_ij), with R = 2.79 for rk4, 2 for heun and euler. A network
    in several pieces evens out in each by itself, and is warned of.
    """

    name = "network-diffusion"
    equation = "du_i/dt = Σ_j w_ij (u_j − u_i)"
    kind = "graph"
    fields = (Field("u", "1", "concentration"),)
    static = (
        Field("conductance", "s-1", "conductance", on="edge"),
        Field("position", "1", "where the node lies", components=2),
    )
    parameters = (
        Parameter("median", 1.0, 1e-6, 1e6, "s-1", "median of the conductances"),
        Parameter("contrast", 0.5, 0.0, 3.0, "1", "deviation of their logarithm"),
        Parameter("radius", 0.2, 1e-3, 1.5, "1", "nodes closer than this are joined"),
        Parameter("width", 0.15, 1e-3, 10.0, "1", "of the spots at the start"),
    )
    options = (
        Option("nodes", 100, low=2, help="how many"),
        Option("network", -1, low=-1, help="seed of graph and conductances; -1: that of the run"),
        Option("spots", 3, low=1, help="places about which u is 1 at the start"),
        Option("dt", 5e-3, low=1e-12, help="time step in s"),
        SCHEME,
        initial_option("spots"),
    )
    order_space = None
    order_time = orders(SCHEME)

    def __init__(self, given):
        self.given, self.dt = given, given.dt
        draws = own = np.random.default_rng(given.seed)
        if given.network >= 0:
            draws = np.random.default_rng(given.network)
        self.position = draws.uniform(size=(given.nodes, 2))
        self.places = own.uniform(size=(given.spots, 2))
        pairs = cKDTree(self.position).query_pairs(given.radius, output_type="ndarray")
        if not len(pairs):
            raise InputError(
                f"radius={given.radius:g} joins no two of {given.nodes} nodes; raise it"
            )
        pairs = pairs[np.lexsort(pairs.T)]
        w = given.median * np.exp(given.contrast * draws.standard_normal(len(pairs)))
        edges = np.concatenate([pairs, pairs[:, ::-1]]).T
        self.graph, self.conductance = Graph(given.nodes, edges), np.concatenate([w, w])
        limit = stable_step(
            given.scheme, network_diffusion.fastest_decay(given.nodes, edges, self.conductance)
        )
        if self.dt > limit:
            raise InputError(
                f"dt={self.dt:g} s exceeds {limit:.4g} s, the stable limit of {given.scheme} on this "
                "network; lower --dt"
            )

    def domain(self):
        return self.graph

    def start(self, comm):
        self.rows = Rows(comm, self.graph)
        matrix = network_diffusion.laplacian(self.graph.nodes, self.graph.edges, self.conductance)
        self.mine = matrix[self.rows.own]
        own = initial_fields(self, comm)
        self.u = self.initial() if own is None else own["u"]
        self.integrator = Integrator(self.given.scheme, self.rate, self.dt)
        pieces, _ = connected_components(matrix, directed=False)
        if pieces > 1 and comm.rank == 0:
            said = f"the network is in {pieces} pieces; raise --radius or --nodes to join them"
            self.warn("network in pieces", said, pieces)
        return self.rows.block

    def initial(self):
        """Gaussian spots about random places."""
        squared = ((self.position[:, None] - self.places) ** 2).sum(-1)
        return np.exp(-0.5 * squared / self.given.width**2).sum(-1)

    def state(self):
        own = self.rows.own
        still = {"conductance": self.conductance, "position": self.position[own]}
        return {"u": self.u[own], **still}

    def step(self, n):
        self.integrator.advance(n * self.dt, self.u)
        return (n + 1) * self.dt

    def rate(self, t, u, out):
        """out = −L u: at its own nodes by each rank."""
        out[...] = self.rows.whole(-(self.mine @ u))


if __name__ == "__main__":
    main(NetworkDiffusion)
