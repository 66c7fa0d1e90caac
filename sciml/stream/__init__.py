"""The way from solver ranks to the trainer: message, client, server, spool, ledger."""

from sciml.lazy import lazy

# Resolved on first use (PEP 562): a solver rank needs the client only.
_HOMES = {
    "Client": "client",
    "connect": "connection",
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

__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
