"""What of model and device can be refused before anything runs: without a frame, without weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sciml.domain import Domain, Field
from sciml.errors import InputError
from sciml.study.schema import Study

if TYPE_CHECKING:
    from torch import nn

    from sciml.surrogates import Surrogate

#: float32 numbers that a weight takes while it is trained: itself, its gradient, Adam's two moments.
NUMBERS_A_WEIGHT = 4


def check_model(
    study: Study, domain: Domain | None, fields: Sequence[Field] = (), *, online: bool = False
) -> None:
    """Build the model of a study without memory, and hold the training against it.

    Args:
        study: names the model and its options.
        domain: where its fields live; ``None``: only the names and types of options are checked.
        fields: what is known of the fields of the data, their parity above all.
        online: the data come out of a stream, after so many samples as the buffer's watermark says.

    Raises:
        InputError: an unknown model or option, a value that it cannot use, a domain that it or the
            training cannot work on, more weights than there is memory for.
    """
    from sciml.surrogates.registry import check

    name, config = study.model.name, study.model.config
    check(name, config)
    if domain is None:
        return
    _check_symmetries(study, domain, fields)
    from sciml.run.model_trial import built, try_model  # torch
    from sciml.surrogates.normalizer import NO_ENERGY
    from sciml.surrogates.traits import traits_of
    from sciml.surrogates.weights import require_savable
    from sciml.training.area_weights import require_weighting

    require_weighting(study.training.weighting, domain)
    # Without values: modes=4000 is refused by its reason, not by the memory it takes.
    config, task = study.model.surrogate, study.task.build()
    surrogate = built(config, task, domain, fields)
    if surrogate is None:
        try_model(config, task, domain, fields, None)
        return
    if study.training.references and surrogate.potential is None:
        raise InputError(f"training.{NO_ENERGY}")
    module = surrogate.model
    require_savable(module, values=False)
    _check_room(study, module)
    if study.training.points is not None and not traits_of(module).pointwise:
        raise InputError(
            f"training.points: {study.training.points}, yet model '{name}' gives whole fields; expected "
            "one that can be asked at points, such as 'deeponet', or points: null"
        )
    _check_sources(study, surrogate)
    basis, watermark = traits_of(module).basis, study.buffer.watermark
    if online and basis >= watermark:
        raise InputError(
            f"model '{name}': basis={basis} modes from the {watermark} samples that come before the "
            f"first step; raise buffer.watermark above {basis}, or lower model.basis"
        )
    try_model(config, task, domain, fields, surrogate)


def _check_sources(study: Study, surrogate: Surrogate) -> None:
    """That objectives have their fields, and points a model that can be asked there."""
    from sciml.run.points import learned
    from sciml.surrogates.traits import traits_of

    source, objective = learned(study, surrogate.setting, None)
    for name, one in getattr(objective, "objectives", {}).items():
        if hasattr(one, "require_model"):
            one.require_model(surrogate)
            one.require_points(surrogate, source.sources[objective.source(name)].peek())
    for name, section in study.training.collocation.items():
        for key in ("boundary", "flux", "seam"):
            if (count := getattr(section, key)) and traits_of(surrogate.model).lagrangian:
                raise InputError(
                    f"training.sources.{name}.{key}: {count}, and model '{study.model.name}' follows "
                    "characteristics, which nothing holds at the sides; remove it, or take 'pinn'"
                )
        if not traits_of(surrogate.model).pointwise:
            raise InputError(
                f"training.sources.{name}: model '{study.model.name}' gives whole fields; expected one "
                "that can be asked at points, such as 'deeponet'"
            )


def _check_room(study: Study, module: nn.Module) -> None:
    """That the weights can be there at all, on the processor or the device."""
    import torch

    from sciml.training.device import device_of

    weights = sum(p.numel() for p in module.parameters())
    where, room = "this machine", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    device = device_of(study.training.device, "training.device")
    if device.type in ("cuda", "xpu"):  # mps shares the memory of the machine
        properties = getattr(torch, device.type).get_device_properties(device)
        where, room = str(device), properties.total_memory
    wanted = 4 * NUMBERS_A_WEIGHT * weights
    if wanted > room:
        given = ", ".join(f"{key}={value!r}" for key, value in study.model.config.items())
        raise InputError(
            f"model '{study.model.name}' with {given or 'its defaults'}: {weights:.3g} weights, which "
            f"with gradients and Adam's moments take {wanted / 1e9:.3g} GB; {where} has "
            f"{room / 1e9:.3g} GB: make it smaller"
        )


def _check_symmetries(study: Study, domain: Domain, fields: Sequence[Field]) -> None:
    """That grid and fields have the symmetries of ``training.augment``."""
    if study.training.augment is None:
        return
    import torch

    from sciml.surrogates import Batch
    from sciml.training import Augmentation

    geometry = {}
    shape = domain.point_shape
    if domain.kind == "grid":
        geometry["spacing"] = torch.tensor([domain.spacing])
        geometry["periodic"] = torch.tensor([b == "periodic" for b in domain.boundary])
    field = torch.zeros(()).expand(1, 1, *shape)
    group = study.training.options().augment.group
    batch = Batch({}, {"field": field}, geometry=geometry, kind=domain.kind)
    Augmentation(group.symmetries)(torch.nn.Identity(), batch, 0)
    group.told_on(domain, study.task.build(), fields)


def check_device(study: Study) -> None:
    """That ``training.device`` is there.

    Raises:
        InputError: it is not.
    """
    if study.training.device in ("auto", "cpu"):
        return
    from sciml.training.device import device_of  # torch

    device_of(study.training.device, "training.device")
