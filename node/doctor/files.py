"""Facts of files: keys, modes, certificates, sources, figures, disk. Read only."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from accord.agencies import Agency
from accord.clock import to_ms
from accord.errors import AccordError, InputError, Refused
from accord.identity import KeyRole
from accord.keys import PrivateKey, read_secret, read_secret_32
from accord.pki import check_leaf, check_now, load_certificates
from node.config import READS, NodeConfig
from node.doctor.facts import Certificate, Disk, Figures, OpenFile, Secret, Trouble
from node.store.segments.parts import folder_of
from node.ways.config import FolderSource, MqttSource, SqlSource, WebhookSource

_READ = 0o077
# A group that edits the policy together is the agency's own choice.
_WRITE = 0o002


def tried(look: Callable[[], object]) -> Trouble | None:
    """Return what kept a look from succeeding, None where nothing did."""
    try:
        look()
    except AccordError as error:
        return Trouble.of(error)
    except OSError as error:
        remedy = "put it there, readable for the node's user"
        return Trouble(f"{error.filename}: can't be read ({error.strerror})", remedy)
    return None


def secrets(settings: NodeConfig, own: Agency | None) -> Iterator[Secret]:
    """Yield every key and secret that node.toml names; ``own`` is our published agency.toml."""

    def published(path: Path, role: KeyRole) -> None:
        public = PrivateKey.load(path).public
        if own is not None and public not in own.keys_for(role):
            raise InputError(
                path,
                f"is no {role} key that agency.toml publishes",
                "use the published key, or publish this one: accord certs publish",
            )

    looks: list[tuple[str, Path, Callable[[], object]]] = [
        ("keys.node", settings.node_key, partial(published, settings.node_key, KeyRole.NODE)),
        ("keys.audit", settings.audit_key, partial(published, settings.audit_key, KeyRole.AUDIT)),
        (
            "keys.witness",
            settings.witness_key,
            partial(published, settings.witness_key, KeyRole.WITNESS),
        ),
        ("keys.audit_secret", settings.audit_secret, lambda: read_secret_32(settings.audit_secret)),
        ("keys.names_secret", settings.names_secret, lambda: read_secret_32(settings.names_secret)),
        ("tls.key", settings.tls_key, lambda: read_secret(settings.tls_key)),
    ]
    if (url := settings.store_url) is not None:
        looks.append(("store.postgres", url, partial(read_secret, url)))
    for shard in settings.store_shards:
        looks.append(("store.shards", shard, partial(read_secret, shard)))
    for name, path in _of_sources(settings):
        looks.append((name, path, partial(read_secret, path)))
    for name, path, look in looks:
        trouble = tried(look)
        if not os.path.lexists(path):
            remedy = "put it back; accord certs init makes those of a new agency"
            trouble = Trouble(f"{path}: is not there", remedy)
        yield Secret(name, path, trouble)


def _of_sources(settings: NodeConfig) -> Iterator[tuple[str, Path]]:
    """Yield the secrets of [[sources]] with their names."""
    for one in settings.sources:
        named: tuple[tuple[str, str], ...] = ()
        if isinstance(one, WebhookSource):
            named = (("key", one.key), ("token", one.token))
        elif isinstance(one, MqttSource):
            named = (("key", one.key), ("password", one.password))
        elif isinstance(one, SqlSource):
            named = (("url", one.url),)
        for key, path in named:
            if path:
                yield f"sources.{one.name}.{key}", settings.base / path


def open_files(settings: NodeConfig) -> Iterator[OpenFile]:
    """Yield what others may read or write and must not."""
    data = settings.data
    kept = [data, data / "photos", folder_of(data / READS), *_databases(data)]
    # Whoever may write there decides what we share.
    ruling = [settings.path, settings.policy]
    for paths, forbidden in ((kept, _READ), (ruling, _WRITE)):
        for path in paths:
            try:
                mode = stat.S_IMODE(path.stat().st_mode)
            except OSError:
                continue
            if mode & forbidden:
                yield OpenFile(path, mode, mode & ~forbidden)


def certificates(settings: NodeConfig, own: Agency | None, now_ms: int) -> Iterator[Certificate]:
    """Yield our node's certificate, our CAs', and those of [[sources]]."""
    days = f"accord certs issue --agency {settings.agency} --dir DIR --role node"
    put = f"put both files in the place of {settings.certificate} and {settings.tls_key}"
    renew = f"where {settings.agency}'s CA is, move the old pair aside, then {days}"
    renew = f"{renew} --name {settings.name}; {put}: no restart is needed"
    yield _own(settings, own, now_ms, renew)
    for ca in own.cas if own else ():
        end = to_ms(ca.not_valid_after_utc)
        yield Certificate("our CA", "publish a new CA beside it: accord certs", end)
    for one in settings.sources:
        named: tuple[str, ...] = ()
        if isinstance(one, WebhookSource | MqttSource):
            named = (one.certificate, one.ca)
        for path in filter(None, named):
            what = f"sources.{one.name}: {path}"
            yield _of_file(settings.base / path, what, "have its issuer make a new one")


def _own(settings: NodeConfig, own: Agency | None, now_ms: int, renew: str) -> Certificate:
    """Return the node's certificate; that it is over is told as a date and not as a trouble."""
    found = _of_file(settings.certificate, f"the node's ({settings.certificate})", renew)
    if found.until_ms is None or found.until_ms <= now_ms:
        return found

    def look() -> None:
        leaf = settings.load_tls(now_ms)
        if leaf.spiffe != settings.own_id:
            raise InputError(
                settings.certificate, f"is for {leaf.spiffe} and not for {settings.own_id}", renew
            )
        if own is None:
            return
        try:
            check_leaf(leaf.certificate, own.cas, leaf.spiffe)
            check_now(leaf.certificate, own.revoked, now_ms)
        except Refused as refused:
            problem = f"would be refused by everybody: {refused.detail}"
            raise InputError(settings.certificate, problem, renew) from None

    trouble = tried(look)
    return found if trouble is None else Certificate(found.what, renew, trouble=trouble)


def _of_file(path: Path, what: str, renew: str) -> Certificate:
    try:
        ends = [
            to_ms(one.not_valid_after_utc) for one in load_certificates(path.read_bytes(), path)
        ]
    except OSError as error:
        trouble = Trouble(f"{path}: can't be read ({error.strerror})", renew)
        return Certificate(what, renew, trouble=trouble)
    except AccordError as error:
        return Certificate(what, renew, trouble=Trouble.of(error))
    return Certificate(what, renew, min(ends))


def sources(settings: NodeConfig) -> Iterator[Trouble]:
    """Yield what is amiss with the folders and mappings that [[sources]] names."""
    for one in settings.sources:
        for name in filter(None, (one.mapping, one.cameras)):
            if not (settings.base / name).is_file():
                yield Trouble(f"sources.{one.name}: {settings.base / name} is not there")
        if not isinstance(one, FolderSource):
            continue
        folder = settings.base / one.folder
        if not folder.is_dir():
            yield Trouble(f"sources.{one.name}: {folder} is no folder", f"mkdir {folder}")
        elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            owner = "let the node's user read and write there: taken files are moved away"
            yield Trouble(f"sources.{one.name}: {folder} can't be used", owner)


def figures(settings: NodeConfig) -> Figures:
    """Return whether the file of figures can be written, and when it was."""
    path = settings.metrics
    folder = next(one for one in path.parents if os.path.lexists(one))
    if not folder.is_dir():
        return Figures(path, None, Trouble(f"{folder}: is a file, where a folder is needed"))
    if not os.access(folder, os.W_OK | os.X_OK):
        remedy = "let the node's user write there, or name another file: metrics in node.toml"
        return Figures(path, None, Trouble(f"{folder}: can't be written", remedy))
    try:
        return Figures(path, path.stat().st_mtime_ns // 1_000_000)
    except FileNotFoundError:
        return Figures(path, None)
    except OSError as error:
        return Figures(path, None, Trouble(f"{path}: can't be used ({error.strerror})"))


def disk(settings: NodeConfig) -> Disk | None:
    """Return the room on the disk of the data folder; None where there is no such folder."""
    if not settings.data.is_dir():
        return None
    room = shutil.disk_usage(settings.data)
    size = 0
    for path in _databases(settings.data):
        with suppress(FileNotFoundError):  # a purge takes files of reads meanwhile
            size += path.stat().st_size
    return Disk(settings.data, room.free, room.total, size)


def _databases(data: Path) -> list[Path]:
    """Return the files of all databases of a data folder, those of the reads too."""
    return sorted(data.glob("*.db")) + sorted(folder_of(data / READS).glob("*.db"))
