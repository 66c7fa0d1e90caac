"""What of model and device can be refused before anything runs: without a frame, without weights."""

from __future__ import annotations

from sciml.domain import Domain
from sciml.errors import InputError, ScimlError
from sciml.study.schema import Study


def check_model(study: Study, domain: Domain | None) -> None:
    """Build the model of a study on no memory at all, and drop it.

    Args:
        study: names the model and its options.
        domain: where its fields live; ``None``: only the names of options are checked.

    Raises:
        InputError: an unknown model or option, a value that it cannot use, or a domain that it cannot
            work on.
    """
    from sciml.surrogates.registry import check

    name, config = study.model.name, study.model.config
    check(name, config)
    if domain is None:
        return
    import torch

    from sciml.surrogates import Surrogate

    try:
        # Shapes without values: modes=4000 is refused by its reason, not by the memory it takes.
        with torch.device("meta"):
            Surrogate.build(study.model.surrogate, study.task.build(), domain, normalizer=None)
    except ScimlError:
        raise
    except (TypeError, ValueError, AssertionError, ZeroDivisionError) as error:
        given = ", ".join(f"{key}={value!r}" for key, value in config.items())
        raise InputError(
            f"model '{name}' with {given or 'its defaults'}: {error}; see the keys of its build"
        ) from error
    except RuntimeError:
        # Some models look at values while they are built, which this cannot give; a shape that is
        # wrong is then said when the first simulation has opened.
        return


def check_device(study: Study) -> None:
    """That ``training.device`` is there.

    Raises:
        InputError: it is not.
    """
    wanted = study.training.device
    if not wanted.startswith("cuda"):
        return
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = int(wanted.partition(":")[2] or 0)
    if number >= count:
        there = f"there are {count} CUDA devices" if count else "there is no CUDA device"
        raise InputError(
            f"training.device: {wanted}, yet {there} here; expected auto, cpu"
            + (f" or cuda:0 to cuda:{count - 1}" if count else "")
        )
