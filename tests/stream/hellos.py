"""What tests of the stream say first, and wait for last."""

from sciml.stream import Closed
from sciml.stream import message as m
from sciml.stream.description import digest, simulation_to_wire


def hello(simulation):
    """The first message of the only rank of a simulation, as it is before it is packed."""
    return {
        "v": m.VERSION,
        "kind": "hello",
        "run": "",
        "epoch": 1,
        "simulation": simulation.id,
        "attempt": 1,
        "rank": 0,
        "ranks": 1,
        "hello": 1,
        "token": b"0123456789abcdef",
        "digest": digest(simulation),
        "offset": None,
        "shape": None,
        "description": simulation_to_wire(simulation),
    }


def until_closed(count):
    """Whether so many simulations have closed, asked event by event."""
    left = [count]

    def until(event):
        left[0] -= isinstance(event, Closed)
        return not left[0]

    return until
