"""The federation folder as the node reads it, for commands beside a serving node."""

from accord import activation, pins
from accord.activation import Activations
from accord.agencies import Agency
from accord.agreements.law.packs import built_in_law
from accord.agreements.law.rules import Law
from accord.agreements.policy import Policy, parse_policy
from accord.agreements.retention import Limits
from accord.clock import Clock
from accord.errors import InputError
from accord.federation import Federation
from accord.federation_watch import FederationWatch
from accord.law_files import LawFiles
from accord.pins import Pins
from node.config import NodeConfig
from node.leap import Leap, heads_of_others
from node.retention import limits_at


def held(settings: NodeConfig) -> Federation:
    """Return the folder with what the node saw before and what is activated; nothing is written.

    Raises:
        InputError: the folder, or one of the two files, can't be used.
    """
    seen = Pins.open(settings.data / pins.FILE_NAME)
    seen.path = None
    activations = Activations(settings.data / activation.FILE_NAME, settings.agency)
    return FederationWatch(settings.federation, settings.roots, seen, activations).current


def own_policy(settings: NodeConfig) -> Policy:
    """Return the agency's own policy.

    Raises:
        InputError: it is not there, can't be read, or says something wrong.
    """
    try:
        data = settings.policy.read_bytes()
    except FileNotFoundError:
        remedy = "put it back; accord policy new writes one to start from"
        raise InputError(settings.policy, "is not there", remedy) from None
    except OSError as error:
        raise InputError(settings.policy, f"can't be read ({error.strerror})") from None
    return parse_policy(data, settings.policy)


def own_law(settings: NodeConfig, own: Agency) -> Law:
    """Return the law with the updates that the agency's counsel signed.

    Raises:
        InputError, Unverified: an update can't be used, or counsel did not sign it.
    """
    return built_in_law().with_packs(LawFiles(settings.federation).read(own))


def own_limits(settings: NodeConfig, found: Federation, now_ms: int) -> Limits:
    """Return how long the agency keeps what, by its policy and the law that binds it now.

    Raises:
        InputError: the policy, the agency's own agency.toml or an update of the
            law can't be used.
        Unverified: an update of the law that its counsel did not sign.
    """
    policy = own_policy(settings)
    own = found.agencies.get(settings.agency)
    if own is None:
        raise InputError(
            settings.federation, f"holds no valid agency.toml of {settings.agency}",
            "put the signed one there: it says whose law binds",
        )  # fmt: skip
    return limits_at(policy.retention, own, own_law(settings, own), now_ms)


def limits_on_arrival(settings: NodeConfig, clock: Clock) -> tuple[Limits, Limits | None]:
    """Return the agency's limits, and those by which a read that comes in may be due.

    The second are None while the clock is in doubt: nothing is due by it then.

    Call it before the store is opened.

    Raises:
        InputError, Unverified: as :func:`own_limits`.
    """
    leap = Leap(settings.data, clock)
    found = held(settings)
    heads = [at_ms for _, at_ms in heads_of_others(found, settings.agency)]
    kept = own_limits(settings, found, clock.now_ms())
    return kept, kept if leap.peek(heads) is None else None
