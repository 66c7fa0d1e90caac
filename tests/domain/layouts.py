"""Small files in the layouts of The Well and PDEBench, written to their specifications."""

import h5py
import numpy as np


def waves(samples, times, *shape, shift=0.0):
    """float32 ``(samples, times, *shape)``: waves that go round, of another phase each."""
    rng = np.random.default_rng(len(shape))
    phase = rng.uniform(0, 6, samples) + shift
    angle = phase[:, None] + 0.3 * np.arange(times)
    field = angle.reshape(samples, times, *[1] * len(shape))
    for axis, n in enumerate(shape):
        places = 2 * np.pi * np.arange(n) / n
        field = field + places.reshape(n, *[1] * (len(shape) - 1 - axis))
    return np.sin(field).astype(np.float32)


def write_the_well(path, samples=4, times=6, shape=(8, 10), viscosity=0.1, name="shear_flow"):
    """As docs/data_format.md of the_well has it, down to the types of its attributes."""
    dims = ["x", "y", "z"][: len(shape)]
    count = len(shape)
    with h5py.File(path, "w") as f:
        f.attrs["dataset_name"] = name
        f.attrs["grid_type"] = "cartesian"
        f.attrs["n_spatial_dims"] = count
        f.attrs["n_trajectories"] = samples
        f.attrs["simulation_parameters"] = ["Viscosity", "Schmidt"]
        f.attrs["Viscosity"], f.attrs["Schmidt"] = viscosity, 2.0
        group = f.create_group("dimensions")
        group.attrs["spatial_dims"] = dims
        group["time"] = (0.5 * np.arange(times)).astype("f4")
        group["time"].attrs["sample_varying"] = False
        for dim, n in zip(dims, shape, strict=True):
            group[dim] = (np.arange(n) / n).astype("f4")
            group[dim].attrs["sample_varying"] = group[dim].attrs["time_varying"] = False
        group = f.create_group("boundary_conditions")
        for dim, kind in zip(dims, ("PERIODIC", "WALL", "PERIODIC"), strict=False):
            about = group.create_group(f"{dim}_boundary")
            about.attrs["associated_dims"], about.attrs["associated_fields"] = [dim], []
            about.attrs["bc_type"] = kind
            about.attrs["sample_varying"] = about.attrs["time_varying"] = False
            about["mask"] = np.isin(
                np.arange(shape[dims.index(dim)]), (0, shape[dims.index(dim)] - 1)
            )
        group = f.create_group("scalars")
        group.attrs["field_names"] = ["Viscosity", "strength", "heating"]
        _put(group, "Viscosity", np.array([viscosity], "f4"), sample=False, time=False)
        _put(group, "strength", np.linspace(1, 2, samples, dtype="f4"), sample=True, time=False)
        _put(group, "heating", np.sin(np.arange(times)).astype("f4"), sample=False, time=True)
        varying = [True] * count
        scalars = f.create_group("t0_fields")
        scalars.attrs["field_names"] = ["tracer", "floor", "profile"]
        _put(scalars, "tracer", waves(samples, times, *shape), dims=varying)
        _put(scalars, "floor", waves(samples, 1, *shape)[:, 0], time=False, dims=varying)
        profile = waves(samples, times, shape[0], shift=1.0)
        _put(scalars, "profile", profile, dims=[True] + [False] * (count - 1))
        vectors = f.create_group("t1_fields")
        vectors.attrs["field_names"] = ["velocity"]
        parts = [waves(samples, times, *shape, shift=k) for k in range(count)]
        _put(vectors, "velocity", np.stack(parts, -1), dims=varying)
        tensors = f.create_group("t2_fields")
        tensors.attrs["field_names"] = ["stress"]
        parts = [[a * b for b in parts] for a in parts]
        stacked = np.stack([np.stack(row, -1) for row in parts], -2)
        _put(tensors, "stress", stacked, dims=varying)
        tensors["stress"].attrs["symmetric"] = True
        tensors["stress"].attrs["antisymmetric"] = False
    return path


def _put(group, name, values, *, sample=True, time=True, dims=None):
    group[name] = values
    notes = group[name].attrs
    notes["sample_varying"], notes["time_varying"] = sample, time
    if dims is not None:
        notes["dim_varying"] = dims


def write_line(path, samples=4, times=6, n=16, **attrs):
    """Advection, Burgers: ``t-coordinate`` has one time more than there are frames."""
    with h5py.File(path, "w") as f:
        f["tensor"] = waves(samples, times, n)
        f["x-coordinate"] = ((np.arange(n) + 0.5) / n).astype("f4")
        f["t-coordinate"] = np.linspace(0, 0.1 * times, times + 1).astype("f4")
        f.attrs.update(attrs)
    return path


def write_darcy(path, samples=6, n=8):
    with h5py.File(path, "w") as f:
        f["nu"] = np.abs(waves(samples, 1, n, n)[:, 0]) + 0.1
        f["tensor"] = waves(samples, 1, n, n)  # (b, 1, x, y)
        f["x-coordinate"] = f["y-coordinate"] = (np.arange(n) + 0.5) / n
        f.attrs["beta"] = 1.0
    return path


def write_flow(path, samples=3, times=5, shape=(8, 6)):
    """Compressible flow."""
    with h5py.File(path, "w") as f:
        for k, name in enumerate(("density", "pressure", "Vx", "Vy", "Vz")[: 2 + len(shape)]):
            f[name] = waves(samples, times, *shape, shift=k)
        for dim, n in zip("xyz", shape, strict=False):
            f[f"{dim}-coordinate"] = (np.arange(n) + 0.5) / n
        f["t-coordinate"] = 0.1 * np.arange(times + 1)
        f.attrs.update(eta=1e-8, zeta=1e-8, M=0.1)
    return path


def write_seeds(path, samples=4, times=5, shape=(8, 10), features=1):
    """Radial dam break, diffusion-reaction (``features=2``) and -sorption: a group a simulation."""
    values = waves(samples, times, *shape)
    with h5py.File(path, "w") as f:
        for seed in range(samples):
            stacked = np.stack([values[seed] + k for k in range(features)], -1)
            f.create_dataset(f"{seed:04d}/data", data=stacked, compression="lzf")
            axes = shape[::-1] if features == 2 else shape
            for dim, n in zip("xy", axes, strict=False):
                f[f"{seed:04d}/grid/{dim}"] = np.linspace(-1, 1, n, dtype="f4")
            f[f"{seed:04d}/grid/t"] = np.linspace(0, 5, times, dtype="f4")
            f[f"{seed:04d}"].attrs["config"] = "sim: {k: 0.005}"
    return path


def write_incompressible(path, samples=2, times=5, shape=(8, 8)):
    parts = [waves(samples, times, *shape, shift=k) for k in range(2)]
    with h5py.File(path, "w") as f:
        f["velocity"] = np.stack(parts, -1)
        f["particles"] = waves(samples, times, *shape)[..., None]
        f["force"] = np.stack(parts, -1)[:, 0]
        f["t"] = np.tile(0.01 * np.arange(times, dtype="f4"), (samples, 1))
        f.attrs["latestIndex"] = times - 1
    return path
