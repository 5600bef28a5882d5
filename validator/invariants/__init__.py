"""The invariants of an estate, and the engine that runs each over every subject of its type."""

from validator.invariants import (
    accounts,
    agents,
    agreement,
    capacity,
    effects,
    keys,
    replication,
    servers,
    trust,
)
from validator.invariants.engine import Invariant, judge

INVARIANTS: tuple[Invariant, ...] = (
    *accounts.INVARIANTS,
    *capacity.INVARIANTS,
    *keys.INVARIANTS,
    *trust.INVARIANTS,
    *agents.INVARIANTS,
    *replication.INVARIANTS,
    *effects.INVARIANTS,
    *agreement.INVARIANTS,
    *servers.INVARIANTS,
)

__all__ = ["INVARIANTS", "Invariant", "judge"]
