"""Diffusion by attention as a model of a setting: what GRAND and GREAD are built alike of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from sciml.surrogates.graph.on_domain import graph_channels, on_domain
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import chose

_ATTENTION = ("width", "heads", "score", "positive", "stochastic", "itself", "edge_hidden")
_INTEGRATION = ("method", "step", "adjoint")


def attention_flow(
    name: str,
    make: Callable[..., nn.Module],
    own: tuple[str, ...],
    setting: Setting,
    *,
    hidden: int,
    frames: str,
    **options: Any,
) -> nn.Module:
    """A layer ``make(channels, …, attention, integration)`` on the meshes or graphs of a setting.

    Args:
        name: of the model, for messages.
        own: options that are the layer's alone.
        hidden, frames, options: as those of ``build`` of GRAND and GREAD: ``own``, those of the
            attention and of the integration, and those of
            :func:`~sciml.surrogates.graph.on_domain.on_domain`.

    Raises:
        InputError: no mesh or graph; options that cannot be.
    """
    seen = graph_channels(name, setting, frames)

    def taken(names: tuple[str, ...]) -> dict[str, Any]:
        return {key: options.pop(key) for key in names}

    attention = taken(_ATTENTION)
    attention["edge_channels"] = seen.edge_channels
    attention["pairs"] = seen.nodes if attention["score"] == "pair" else 0
    hidden = hidden if options["latent"] else setting.channels[1]
    layer = make(hidden, **taken(own), attention=attention, integration=taken(_INTEGRATION))
    model = on_domain(setting, seen, layer, hidden, **options)
    return chose(model, step=layer.integration.step)
