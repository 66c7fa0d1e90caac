"""A run: its directory, lineage, supervisor and display; and, when it is called, :func:`sciml.api.run`.

Once a module of this room is imported, `sciml.run` is the room, which is called like the function.
"""

import sys
from importlib import import_module
from types import ModuleType


class _Room(ModuleType):
    def __call__(self, study, out=None, *, overrides=(), plain=None):
        """See :func:`sciml.api.run`."""
        return import_module("sciml.api").run(study, out, overrides=overrides, plain=plain)


sys.modules[__name__].__class__ = _Room
