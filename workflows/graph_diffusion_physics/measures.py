"""How far off a model is on meshes that it has not seen, and what it has found out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from scipy.optimize import minimize_scalar
from scipy.sparse.linalg import splu

from sciml.domain.dataset import domain_of
from sciml.parallel.linear_elements import mass_and_stiffness
from sciml.surrogates.graph.links import Links
from sciml.surrogates.graph.volumes import node_volumes


def errors(table: Any, name: str, surrogate: Any) -> dict[str, Any]:
    """Figures of a model that was trained."""
    physics, found = table.physics, {}
    target = ({**physics.task, **physics.models[name].task})["targets"][0]
    for new, truths in table.truths.items():
        if physics.ranges:
            found[f"error_{new}"] = float(
                np.mean([_asked(surrogate, ds, physics) for ds in truths])
            )
            continue
        rolled = [_rolled(surrogate, ds, physics.rollout, target) for ds in truths]
        found |= _figures(physics, new, truths, rolled, target)
    if physics.ranges:
        found["error"] = float(np.mean([*found.values()]))
    return found | recovered(table, name, surrogate)


def _rolled(surrogate: Any, ds: xr.Dataset, steps: int, target: str) -> np.ndarray:
    return surrogate.rollout(ds.isel(time=[0]), steps)[target].values


def _asked(surrogate: Any, ds: xr.Dataset, physics: Any) -> float:
    """Of fields that are not fed back: predicted from frames of the truth."""
    found = surrogate.predict(ds)["u"]
    truth = ds["u"].sel(time=found.time, method="nearest")
    return relative(found.values, truth.values)


def _figures(
    physics: Any, new: str, truths: list[xr.Dataset], rolled: list[np.ndarray], target: str
) -> dict[str, float]:
    """Means over simulations: relative L2 of the rollout and of its end, drift of mass, how far values
    leave their bounds, over the width of these."""
    rows = []
    for ds, found in zip(truths, rolled, strict=True):
        found = np.nan_to_num(found, nan=1e6, posinf=1e6, neginf=-1e6)
        truth = ds[target].values[1 : 1 + len(found)]
        row = {"error": relative(found, truth), "last": relative(found[-1], truth[-1])}
        if truth.ndim == 2:
            low, high = physics.bounds or (truth[0].min(), truth[0].max())
            beyond = max(low - found.min(), found.max() - high, 0.0)
            row["beyond"] = beyond / (high - low)
        if physics.kept:
            volume, start = _volumes(ds), ds[target].values[0]
            row["drift"] = abs(volume @ (found[-1] - start)) / (volume @ np.abs(start))
        rows.append(row)
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return means if new == "unseen" else {f"{key}_{new}": v for key, v in means.items()}


def relative(found: np.ndarray, truth: np.ndarray) -> float:
    """‖found − truth‖ / ‖truth‖, L2."""
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def _volumes(ds: xr.Dataset) -> np.ndarray:
    domain = domain_of(ds)
    return node_volumes(domain) if domain.kind == "mesh" else np.ones(domain.size)


# Without training


def still(table: Any, name: str) -> dict[str, float]:
    """Persistence, or the graph's or mesh's Laplacian with one coefficient, fitted on another mesh."""
    physics, found = table.physics, {}
    target = physics.task["targets"][0]
    if physics.ranges:
        for new, truths in table.truths.items():
            there = [_interpolated(ds, physics, name == "persistence") for ds in truths]
            found[f"error_{new}"] = float(np.mean(there))
        return found | {"error": float(np.mean([*found.values()]))}
    coefficient = 0.0
    if name != "persistence":
        known = table.simulated(100)
        steps = physics.rollout if len(known.time) > physics.rollout else len(known.time) - 1

        def off(log_rate: float) -> float:
            return relative(
                _diffused(known, target, np.exp(log_rate), steps, physics),
                known[target].values[1 : 1 + steps],
            )

        coefficient = float(np.exp(minimize_scalar(off, bounds=(-12, 6), method="bounded").x))
        found["coefficient"] = coefficient
    for new, truths in table.truths.items():
        rolled = [_diffused(ds, target, coefficient, physics.rollout, physics) for ds in truths]
        found |= _figures(physics, new, truths, rolled, target)
    return found


def _held(physics: Any, domain: Any) -> np.ndarray:
    groups = physics.task.get("prescribed", {}).get("u", ())
    return np.concatenate([[], *(domain.groups[g] for g in groups)]).astype(int)


def _diffused(ds: xr.Dataset, target: str, rate: float, steps: int, physics: Any) -> np.ndarray:
    """Crank–Nicolson's steps of M u' = −rate K u, four a frame, held nodes left as they are."""
    domain, start = domain_of(ds), ds[target].values[0].astype(float)
    dt = float(ds.time[1] - ds.time[0]) / 4
    mass, stiffness = _matrices(domain)
    held = _held(physics, domain)
    keep = np.ones(domain.size)
    keep[held] = 0.0
    step = (0.5 * rate * dt) * stiffness.multiply(keep[:, None])
    solve, found, u = splu((mass + step).tocsc()).solve, [], start
    for _ in range(steps):
        for _ in range(4):
            u = solve(mass @ u - step @ u)
        found.append(u)
    return np.stack(found)


def _matrices(domain: Any) -> Any:
    from scipy.sparse import diags_array

    from sciml.equations.network_diffusion import laplacian

    if domain.kind == "graph":
        one = diags_array(np.ones(domain.size), format="csr")
        return one, laplacian(domain.size, domain.edges, np.ones(domain.edges.shape[1]))
    one = np.ones(len(domain.cells))
    mass, stiffness = mass_and_stiffness(domain.points, domain.cells, one)
    return diags_array(mass.sum(axis=1), format="csr"), stiffness


def _interpolated(ds: xr.Dataset, physics: Any, nearest: bool) -> float:
    """From sensors by the nearest one, or harmonically: K u = 0 at nodes without one."""
    domain = domain_of(ds)
    sensor = np.flatnonzero(ds["sensor"].values)
    rest = np.setdiff1d(np.arange(domain.size), sensor)
    before = physics.task.get("lead", 1)
    known = ds["u"].values[: len(ds.time) - before] if before else ds["u"].values
    first = physics.task.get("history", 1) - 1
    if physics.task.get("history", 1) > 1:
        known = known[first * before :]
    found = known.copy()
    if nearest:
        apart = np.linalg.norm(domain.points[rest][:, None] - domain.points[sensor], axis=-1)
        found[:, rest] = known[:, sensor[apart.argmin(axis=1)]]
    else:
        _, stiffness = _matrices(domain)
        solve = splu(stiffness[rest][:, rest].tocsc()).solve
        found[:, rest] = solve(-(stiffness[rest][:, sensor] @ known[:, sensor].T)).T
    return relative(found, ds["u"].values[len(ds.time) - len(found) :])


# What has been found out


def recovered(table: Any, name: str, surrogate: Any) -> dict[str, float]:
    """Of models through which fields go as they are: the rates w_ij / V_i beside those of the solver."""
    keys = table.physics.models[name].keys
    if keys.get("latent", True):
        return {}
    process = surrogate.model.net.process
    if keys["name"] == "sheaf_diffusion":
        return _turns(table.truths["unseen"][0], surrogate, process)
    found, true, pairs = along_edges(table, name, surrogate)
    figures = {
        "correlation": float(np.corrcoef(found, true)[0, 1]),
        "slope": float(found @ true / (true @ true)),
    }
    if "D" in table.physics.scale:
        # Of smooth fields many weights are alike: as much as they make of the start's slopes.
        ds = table.truths["unseen"][0]
        u, volume = ds["u"].values[0], _volumes(ds)
        steep = volume[pairs[0]] * (u[pairs[0]] - u[pairs[1]]) ** 2
        figures["diffusivity"] = float(found @ steep / (true @ steep))
    if getattr(process.field, "reaction", None):
        time = surrogate.dt * table.physics.task.get("lead", 1)
        figures["rate"] = process.field.beta.item() * process.integration.time / time
    return figures


def along_edges(
    table: Any, name: str, surrogate: Any
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """w_ij / V_i that were learned, those of the solver, on a mesh that is new; and i and j."""
    ds, seen = table.truths["unseen"][0], {}
    dt = float(ds.time[1] - ds.time[0])
    process = surrogate.model.net.process
    field, attention = process.field, getattr(process, "attention", None) or process.field.attention
    hook = attention.register_forward_hook(lambda m, given, out: seen.update(given=given, out=out))
    surrogate.rollout(ds.isel(time=[0]), 1)
    hook.remove()
    links: Links = seen["given"][1]
    receiver, source = links.receiver.numpy().copy(), links.source.numpy().copy()
    rate = field.alpha.sigmoid().item() * process.integration.time / dt
    found = seen["out"].edges.detach().double().numpy() * rate
    true, counted = _true(ds, receiver, source, table.physics)
    return found[counted], true[counted], (receiver[counted], source[counted])


def _true(
    ds: xr.Dataset, receiver: np.ndarray, source: np.ndarray, physics: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Rates of the solver along edges, of a unit diffusivity where there is one; which edges count:
    those between nodes that are free. Of several that join a node with walls at one temperature nobody
    can say which conducts."""
    domain = domain_of(ds)
    if domain.kind == "graph":
        known = dict(
            zip(zip(*domain.edges.tolist(), strict=True), ds["conductance"].values, strict=True)
        )
        true = np.array([known[s, r] for s, r in zip(source, receiver, strict=True)])
        return true, np.ones(len(true), bool)
    if "conductivity" in ds:
        a, b = ds["anisotropy"].values.T
        tensor = np.moveaxis(ds["conductivity"].values * np.array([[1 + a, b], [b, 1 - a]]), 2, 0)
    else:
        tensor = np.ones(len(domain.cells))
    mass, stiffness = mass_and_stiffness(domain.points, domain.cells, tensor)
    true = -np.asarray(stiffness[receiver, source]).ravel() / mass.sum(axis=1)[receiver]
    held = _held(physics, domain)
    return true, ~(np.isin(receiver, held) | np.isin(source, held))


def _turns(ds: xr.Dataset, surrogate: Any, process: Any) -> dict[str, float]:
    """By how many radians the sheaf's transport along an edge differs from that of the surface, whose
    frames are turned into each other by the least rotation in space; the median."""
    seen: list[Any] = []
    [layer] = process.layers
    hook = layer.maps.register_forward_hook(lambda m, given, maps: seen.append((given[1], maps)))
    surrogate.rollout(ds.isel(time=[0]), 1)
    hook.remove()
    links, maps = seen[0]
    if maps.ndim == 2:
        maps = torch.diag_embed(maps)
    carried = (maps.mT @ maps[links.reverse]).detach().double().numpy()
    frame = ds["frame"].values.reshape(-1, 2, 3)
    one, two = frame[links.receiver.numpy()], frame[links.source.numpy()]
    normal = [np.cross(f[:, 0], f[:, 1]) for f in (two, one)]
    axis, cos = np.cross(*normal), (normal[0] * normal[1]).sum(axis=1)[:, None, None]
    across = np.cross(
        np.eye(3)[None], axis[:, None]
    )  # rows: e × axis, so that v @ across = axis × v
    turned = two + two @ across + two @ across @ across / (1 + cos)
    true = one @ turned.swapaxes(1, 2)
    angle = [np.arctan2(m[:, 1, 0] - m[:, 0, 1], m[:, 0, 0] + m[:, 1, 1]) for m in (carried, true)]
    apart = np.abs(np.angle(np.exp(1j * (angle[0] - angle[1]))))
    return {"turns": float(np.median(apart)), "rate": layer.log_rate.exp().item()}
