"""Operator learning and scientific surrogates, trained online from MPI solvers."""

from importlib import import_module

# Resolved on first use (PEP 562), so that a solver rank never pays for torch or xarray.
_PUBLIC = {
    "calculator": "sciml.run.calculator",
    "evaluate": "sciml.run.evaluation",
    "fit": "sciml.training",
    "generate": "sciml.datasets.generation",
    "load_dataset": "sciml.datasets.published",
    "simulate": "sciml.solver.simulate",
    "run": "sciml.api",
    "train": "sciml.api",
    "write_extxyz": "sciml.domain.extxyz",
    "write_vtk": "sciml.domain.vtk",
    "load": "sciml.run.results",
    "open_dataset": "sciml.domain.files",
    "open_recording": "sciml.record",
    "open_run": "sciml.run.results",
}

__all__ = [
    "__version__",
    "calculator",
    "evaluate",
    "fit",
    "generate",
    "load",
    "load_dataset",
    "open_dataset",
    "open_recording",
    "open_run",
    "run",
    "simulate",
    "train",
    "write_extxyz",
    "write_vtk",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("sciml.installation").version()
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sciml' has no attribute '{name}'")
    import_module("sciml.installation").warn_of_namesake()
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
