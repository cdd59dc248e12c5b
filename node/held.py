"""The federation folder as the node reads it, for commands beside a serving node."""

from accord import activation, pins
from accord.activation import Activations
from accord.federation import Federation
from accord.federation_watch import FederationWatch
from accord.pins import Pins
from node.config import NodeConfig


def held(settings: NodeConfig) -> Federation:
    """Return the folder with what the node saw before and what is activated; nothing is written.

    Raises:
        InputError: the folder, or one of the two files, can't be used.
    """
    seen = Pins.open(settings.data / pins.FILE_NAME)
    seen.path = None
    activations = Activations(settings.data / activation.FILE_NAME, settings.agency)
    return FederationWatch(settings.federation, settings.roots, seen, activations).current
