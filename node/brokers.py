"""Our brokers, in the order in which they are tried: whoever failed last comes last."""

import time
from collections.abc import Iterator

from accord.agencies import Endpoint
from accord.errors import AccordError
from accord.identity import SpiffeId
from node.context import Context


class Unreachable(AccordError):
    """Nobody carries it."""


class Brokers:
    """The brokers that the agency authorised, and when each failed last."""

    def __init__(self, node: Context) -> None:
        self._node = node
        self._failed: dict[str, float] = {}

    def carrying(self, to: str) -> Iterator[Endpoint]:
        """Yield the brokers that may carry something to an agency: for itself, each alone.

        One that failed comes after those that did not: it may let each wait for long.
        """
        agencies = self._node.federation.agencies
        for broker in sorted(self._node.brokers, key=lambda b: (self._failed.get(b, 0.0), b)):
            operator = agencies.get(SpiffeId.parse(broker).agency)
            if operator is None or (self.is_operator(to) and operator.id != to):
                continue
            yield from (one for one in operator.endpoints if str(one.spiffe) == broker)

    def is_operator(self, agency: str) -> bool:
        """Tell whether an agency runs one of them."""
        return any(SpiffeId.parse(broker).agency == agency for broker in self._node.brokers)

    def failed(self, broker: Endpoint) -> None:
        """Note that one did not carry."""
        self._failed[str(broker.spiffe)] = time.monotonic()

    def carried(self, broker: Endpoint) -> None:
        """Note that one did."""
        self._failed.pop(str(broker.spiffe), None)
