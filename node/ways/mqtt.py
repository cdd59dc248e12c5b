"""Topics of an MQTT 5 server: a message is acknowledged once its reads are on the disk.

TLS always; quality of service 1; the server keeps the session for a week while
we are away, and sends again what was not acknowledged. paho-mqtt itself and not
a wrapper of it: only there can an acknowledgement wait. Its loop runs in the
source's one thread, so while a document is stored nothing more is read; the rest
waits at the server, which keeps what its settings allow and drops what is more:
a Mosquitto 1,000 messages (``max_queued_messages``) unless told otherwise. No client
learns of that, the sender has its acknowledgement: docs/sources.md says what to set.

A session keeps its topics as well, and sends those too that node.toml no longer
names. So what we are subscribed to stands in the store, from before we are until
the server says that we no longer are, and is compared at each connection:

    ["topics", ["frigate/events"], "mqtt.city.example:8883 accord.city.main.yard"]

A retained message is no other, but is asked for only where a topic is new to the
session: sent at every connection it would bring back what a purge removed.

A message that needs a dead letter where there is no room is kept here, without
an acknowledgement, and tried again each minute, so that those behind it come in;
once as many wait as may be in flight the rest waits at the server. It is then
acknowledged later than its followers, which MQTT 5 does not foresee (4.6) and
servers take: the packet's number names it.
"""

import json
import ssl
import time
from collections import deque
from pathlib import Path
from typing import Any

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from accord.errors import InputError
from accord.keys import read_secret, read_secret_text
from node.ingest.dead import unreadable
from node.ways.config import MqttSource
from node.ways.intake import Intake, NoRoom

log = structlog.get_logger()
_WEEK_S = 7 * 86_400
_IN_FLIGHT = 20
_KEEPALIVE_S = 60
_ONLY_WHEN_NEW = 1
"""What a topic retains is sent when the session does not have the topic yet."""
AGAIN_S = 60.0


class MqttWay:
    """One client of one server; ``client_id`` names its session there for good."""

    def __init__(self, intake: Intake, source: MqttSource, base: Path, client_id: str) -> None:
        self._intake = intake
        self._source = source
        self._base = base
        self._client_id = client_id
        self._where = f"source {source.name}"
        self._session = f"{source.host}:{source.port} {client_id}"
        self._left: deque[MQTTMessage] = deque()
        self._tried = 0.0
        self._context()
        self._password()

    async def run(self) -> None:
        """See :class:`node.ways.running.Way`."""
        await self._intake.run(self._loop)

    def _loop(self) -> None:
        """Take messages until the node stops.

        Raises:
            InputError: the server can't be reached, or lets us not in.
            Refused: the store can't be written; the message comes again.
        """
        # What a connection leaves without an acknowledgement the next one brings again.
        self._left.clear()
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.tls_set_context(self._context())
        if self._source.user:
            client.username_pw_set(self._source.user, self._password())
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_unsubscribe = self._unsubscribed
        client.on_message = self._message
        client.on_disconnect = self._disconnected
        wanted = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # as paho has it
        wanted.SessionExpiryInterval = _WEEK_S
        wanted.ReceiveMaximum = _IN_FLIGHT
        wanted.MaximumPacketSize = self._source.max_message_kib << 10
        try:
            client.connect(
                self._source.host,
                self._source.port,
                keepalive=_KEEPALIVE_S,
                clean_start=False,
                properties=wanted,
            )
        except (OSError, ValueError) as error:
            # An SSL error says which check failed, and nothing that was received.
            problem = f"can't be reached ({getattr(error, 'reason', '') or type(error).__name__})"
            remedy = "check host, port, ca, and that the server is up"
            raise InputError(self._where, problem, remedy) from None
        try:
            while not self._intake.stopping.is_set():
                result = client.loop(timeout=0.5)
                if result != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    raise InputError(self._where, f"the connection ended ({result.name})")
                self._again(client)
        finally:
            # No word of it to the server where that fails: it keeps the session.
            client.disconnect()

    def _connected(
        self, client: Client, _: Any, flags: ConnectFlags, reason: ReasonCode, properties: Any
    ) -> None:
        if reason.is_failure:
            remedy = "check user, password and certificate"
            raise InputError(self._where, f"the server says {reason.getName()}", remedy)
        topics = self._source.topics
        gone = sorted(self._kept() - set(topics))
        self._keep([*topics, *gone])
        options = SubscribeOptions(qos=1, retainHandling=_ONLY_WHEN_NEW)
        client.subscribe([(topic, options) for topic in topics])
        if gone:
            client.unsubscribe(gone)

    def _subscribed(
        self, client: Client, _: Any, mid: int, reasons: list[ReasonCode], properties: Any
    ) -> None:
        for topic, reason in zip(self._source.topics, reasons, strict=False):
            if reason.is_failure:
                problem = f"topic {topic!r}: the server says {reason.getName()}"
                raise InputError(self._where, problem, "check its access list")
        self._intake.account.up = True

    def _unsubscribed(
        self, client: Client, _: Any, mid: int, reasons: list[ReasonCode], properties: Any
    ) -> None:
        source = self._source
        if any(reason.is_failure for reason in reasons):
            # Tried again at the next connection; their messages are still taken.
            said = "the server keeps topics that node.toml no longer names"
            log.warning(said, source=source.name, problem=[one.getName() for one in reasons])
            return
        self._keep(source.topics)
        log.info("topics that node.toml no longer names are left", source=source.name)

    def _kept(self) -> set[str]:
        """Return what this session at this server may be subscribed to."""
        text = self._intake.store.mark(self._source.name)
        kind, topics, *of = json.loads(text) if text else ("", [])
        # Under this name there may have been a table, or another server's topics.
        return set(topics) if (kind, of) == ("topics", [self._session]) else set()

    def _keep(self, topics: list[str]) -> None:
        text = json.dumps(["topics", topics, self._session])
        if text != self._intake.store.mark(self._source.name):
            self._intake.store.set_mark(self._source.name, text)

    def _message(self, client: Client, _: Any, message: MQTTMessage) -> None:
        if not self._taken(client, message) and message.qos:
            self._left.append(message)

    def _again(self, client: Client) -> None:
        now = time.monotonic()
        if now - self._tried < AGAIN_S:
            return
        self._tried = now
        while self._left and self._taken(client, self._left[0]):
            self._left.popleft()

    def _taken(self, client: Client, message: MQTTMessage) -> bool:
        """Take a message and acknowledge it; tell whether there was room for what it needs."""
        try:
            self._intake.document(bytes(message.payload))
        except NoRoom:
            return False
        except InputError as error:
            # Kept as a dead letter: sent again it would be no better.
            log.warning("message not taken", source=self._source.name, problem=unreadable(error))
        client.ack(message.mid, message.qos)
        return True

    def _disconnected(
        self, client: Client, _: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Any
    ) -> None:
        self._intake.account.up = False

    def _context(self) -> ssl.SSLContext:
        source, base = self._source, self._base
        try:
            context = ssl.create_default_context(cafile=base / source.ca if source.ca else None)
            if source.certificate:
                files = (base / source.certificate, base / source.key)
                read_secret(files[1])
                context.load_cert_chain(*files, password=lambda: b"")
        except (OSError, ssl.SSLError):
            problem = "ca, certificate or key can't be used"
            raise InputError(
                self._where, problem, "name PEM files, the key without a password"
            ) from None
        return context

    def _password(self) -> str:
        if not self._source.password:
            return ""
        return read_secret_text(self._base / self._source.password)
