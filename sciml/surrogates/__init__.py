"""Models, and what makes a surrogate of them; everything here is loaded when it is first used."""

from sciml.lazy import lazy

_HOMES = {
    "Batch": "batch",
    "CNN": "grid.cnn",
    "DeepONet": "deeponet.deeponet",
    "FNO": "grid.fno",
    "GCN": "graph.gcn",
    "GRAND": "graph.grand",
    "GREAD": "graph.gread",
    "GraphNetwork": "graph.network",
    "LPINN": "pinn.lpinn",
    "MIONet": "deeponet.mionet",
    "MgNO": "grid.mgno",
    "MLP": "mlp",
    "MPPDE": "mesh.mppde",
    "MeshTransformer": "mesh.mesh_transformer",
    "MeshGraphNet": "mesh.meshgraphnet",
    "Normalizer": "normalizer",
    "PINN": "pinn.pinn",
    "PODDeepONet": "deeponet.pod",
    "Scope": "scope",
    "Setting": "setting",
    "Step": "sciml.samples.step",
    "SheafDiffusion": "graph.sheaf",
    "SheafNN": "graph.sheaf_nn",
    "Statistics": "statistics",
    "Surrogate": "surrogate",
    "TFNO": "grid.tfno",
    "Traits": "traits",
    "Transolver": "mesh.transolver",
    "UNO": "grid.uno",
    "UNet": "grid.unet",
    "ViT": "grid.vit",
    "collate": "collation",
    "to_operator": "grid.operator.conversion",
    "undirected": "graph.links",
}

__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
