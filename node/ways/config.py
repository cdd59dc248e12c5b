"""``[[sources]]`` of node.toml: what the serving node takes reads from. None by default.

[[sources]]
name = "pier"                        # in the log, the figures and among dead letters
way = "folder"                       # or "webhook", "mqtt", "sql": below
format = "openalpr"                  # else each document tells its own
mapping = "pier.toml"                # as the options of accord-node ingest
cameras = "cameras.toml"
camera = "PIER-1"
zone = "America/Los_Angeles"
state = "CA"
folder = "/srv/alpr/in"
settle_s = 5                         # a file is whole when unchanged so long
taken = "move"                       # into done/ there, or "remove"

way = "webhook"
listen = "0.0.0.0:8443"
certificate = "tls/webhook.crt"
key = "tls/webhook.pem"
token = "keys/webhook.token"         # a file, and/or
ca = "tls/senders.crt"               # the CA of the senders' certificates
max_body_kib = 2048
per_minute = 600

way = "mqtt"
host = "mqtt.city.example"
port = 8883
topics = ["frigate/events"]
ca = "tls/mqtt-ca.crt"               # else the system's
certificate = "tls/mqtt.crt"         # with key, where the server asks for one
key = "tls/mqtt.pem"
user = "accord"
password = "keys/mqtt.password"      # a file
max_message_kib = 1024

way = "sql"
url = "keys/records.url"             # a file: SQLAlchemy's URL, with the password
table = "public.reads"               # or query = "SELECT ..."
watermark = "id"                     # a column that only ever grows
overlap = 1000                       # so far below the mark is read again (below)
every_s = 10
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from accord.strict_toml import StrictModel

_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
_Text = Annotated[str, Field(min_length=1)]


class _Source(StrictModel):
    """What every source has."""

    name: _Name
    format: str = ""
    mapping: str = ""
    cameras: str = ""
    camera: str = ""
    zone: str = ""
    state: str = ""


class FolderSource(_Source):
    """A folder that files are put into. ``settle_s`` in seconds."""

    way: Literal["folder"]
    folder: _Text
    settle_s: int = Field(default=5, ge=0, le=3600)
    taken: Literal["move", "remove"] = "move"


class WebhookSource(_Source):
    """A port of its own that documents are sent to, over TLS 1.3."""

    way: Literal["webhook"]
    listen: _Text
    certificate: _Text
    key: _Text
    token: str = ""
    ca: str = ""
    max_body_kib: int = Field(default=2048, ge=1, le=32_768)
    per_minute: int = Field(default=600, ge=1, le=60_000)

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if not self.token and not self.ca:
            raise ValueError("a webhook needs token, ca or both")
        return self


class MqttSource(_Source):
    """Topics of an MQTT server, over TLS."""

    way: Literal["mqtt"]
    host: _Text
    port: int = Field(default=8883, ge=1, le=65_535)
    topics: list[_Text] = Field(min_length=1)
    ca: str = ""
    certificate: str = ""
    key: str = ""
    user: str = ""
    password: str = ""
    max_message_kib: int = Field(default=1024, ge=1, le=32_768)

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key belong together")
        if bool(self.user) != bool(self.password):
            raise ValueError("user and password belong together")
        return self


class SqlSource(_Source):
    """A table or query that is followed by a watermark column.

    ``overlap`` counts in the column's own unit: a number, or seconds of a time.
    """

    way: Literal["sql"]
    url: _Text
    table: str = ""
    query: str = ""
    watermark: _Text
    overlap: int = Field(default=1000, ge=0)
    every_s: int = Field(default=10, ge=1, le=86_400)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.table) == bool(self.query):
            raise ValueError("a SQL source needs either table or query")
        if not self.mapping:
            raise ValueError("a SQL source needs mapping")
        if self.format:
            raise ValueError("a SQL source has no format")
        return self


Source = Annotated[
    FolderSource | WebhookSource | MqttSource | SqlSource, Field(discriminator="way")
]
