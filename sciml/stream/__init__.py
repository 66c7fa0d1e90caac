"""The way from solver ranks to the trainer: message, client, server, spool, ledger."""

from importlib import import_module

# Resolved on first use (PEP 562): a solver rank needs the client only.
_PUBLIC = {
    "Client": "client",
    "connect": "client",
    "ControlClient": "control",
    "Endpoint": "endpoint",
    "Arrived": "events",
    "Closed": "events",
    "Control": "events",
    "Opened": "events",
    "Quarantined": "events",
    "Ledger": "ledger",
    "Server": "server",
}

__all__ = [
    "Arrived",
    "Client",
    "Closed",
    "Control",
    "ControlClient",
    "Endpoint",
    "Ledger",
    "Opened",
    "Quarantined",
    "Server",
    "connect",
]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sciml.stream' has no attribute '{name}'")
    return getattr(import_module(f"sciml.stream.{_PUBLIC[name]}"), name)
