"""What the trainer draws from: FIFO, FIRO, reservoir."""

from sciml.buffer.core import Buffer, Stopped
from sciml.buffer.kinds import KINDS, make
from sciml.buffer.once import FIFO, FIRO
from sciml.buffer.reservoir import Reservoir

__all__ = ["FIFO", "FIRO", "KINDS", "Buffer", "Reservoir", "Stopped", "make"]
