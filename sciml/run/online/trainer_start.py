"""A trainer before it has a run: it imports torch, tries the model, and waits for its word."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from sciml.errors import ScimlError
from sciml.lazy import uncollected
from sciml.run.directory import RunDirectory
from sciml.run.feasibility import check_device, check_model
from sciml.run.trainer_process import Channel, told_domain
from sciml.study.schema import Study


def awaited(number: int) -> RunDirectory | None:
    """The run to train, whose log this process writes to from here on; ``None``: there is to be none.

    Args:
        number: of the socket to who has started this process.
    """
    channel = Channel(socket.socket(fileno=number))
    message = channel.receive()
    if message is None:
        return None
    study = Study.model_validate(message["study"])
    with uncollected():
        # What the training needs, while the program is asked what it is.
        refused = _refusal(study)
        import sciml.run.online.training  # noqa: F401

        message = channel.receive()
        if message is None:
            return None
        refused = refused or _refusal(study, message)
    channel.send({"refused": refused})
    message = channel.receive()
    channel.close()
    if message is None:
        return None
    run = RunDirectory.open(Path(message["run"]))
    log = os.open(run.logs / "trainer.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for output in (1, 2):
        os.dup2(log, output)
    os.close(log)
    return run


def _refusal(study: Study, told: dict | None = None) -> str:
    """Why the study cannot be trained, in a line; empty if it can."""
    try:
        if told is None:
            check_device(study)
            check_model(study, None)
        else:
            domain, fields = told_domain(told)
            check_model(study, domain, fields, online=True)
    except ScimlError as error:
        return str(error)
    return ""
