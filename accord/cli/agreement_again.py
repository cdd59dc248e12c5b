"""``accord agreement sign-anew``: counsel's own files once its key was stolen.

A stolen counsel key is no key any more, and neither is anything that it signed:
the agreement is not executed until the counterpart bears a signature that
counts. Signed anew is the same content, to the letter: the party, its number, the day
on which it signed. So the agreement commences when it did, and nothing is prolonged.

So it is once the agency has another root: instruments of before count again signed
anew, as soon as all parties have signed a text that names it.

What the thief signed and counsel did not is not signed anew: ``--not-ours``
puts a note of that in its place. Each other party must put that file in by hand:
no node takes other content for what it holds.
"""

from pathlib import Path
from typing import Annotated

import typer

from accord import envelope as dsse
from accord.agencies import Agency, read_plain
from accord.agreements.counterparts import verify_counterpart
from accord.agreements.instrument_payload import sign_instrument, verify_instrument
from accord.agreements.instruments import Details, Instrument, InstrumentKind, named
from accord.agreements.manifest import Manifest
from accord.cli.cells import console
from accord.cli.notice_kit import For, Key, check_counsel, own_agency, read
from accord.clock import SystemClock
from accord.durable import replace_file
from accord.envelope import sign
from accord.envelope_json import from_json, to_json
from accord.errors import AccordError, InputError
from accord.keys import PrivateKey


def sign_anew(
    file: Annotated[Path, typer.Argument(help="counterparts/<party>.json, or an instrument.")],
    party: For,
    key: Key,
    not_ours: Annotated[
        str, typer.Option(help="Your counsel never signed it: why, in words. An instrument only.")
    ] = "",
    signer: Annotated[str, typer.Option(help="Your name, with --not-ours.")] = "",
    capacity: Annotated[str, typer.Option(help="In what capacity, with --not-ours.")] = "",
) -> None:
    """Sign what a stolen key of your counsel signed anew: the same content, with the new key."""
    folder = file.resolve().parent.parent
    manifest, counsel = read(folder), PrivateKey.load(key)
    agency = own_agency(folder, manifest, party)
    check_counsel(agency, counsel, key)
    data = read_plain(file)
    try:
        _verify(file, data, manifest, agency)
    except AccordError:
        pass
    else:
        raise InputError(file, "bears a signature that counts", "there is nothing to sign anew")
    if not_ours:
        name = named(file.name)
        if file.resolve().parent.name != "instruments" or name is None or name[0] != party:
            raise InputError(
                file, f"is no instrument of {party}",
                "a counterpart that counsel never signed is moved away: there is no agreement",
            )  # fmt: skip
        one = Instrument(
            party, name[1], InstrumentKind.DISPUTE, signer, capacity, SystemClock().now_ms(),
            Details(reason=not_ours),
        )  # fmt: skip
        anew = sign_instrument(manifest, one, counsel)
    else:
        old = from_json(data, file)
        anew = to_json(sign(old.payload_type, old.payload, counsel))
        _verify(file, anew, manifest, agency)
    replace_file(file, anew)
    console().print(f"Signed anew for {party}: {file}. Send it to every party.", markup=False)
    if not not_ours:
        console().print(from_json(anew, file).payload.decode(), markup=False)


def _verify(file: Path, data: bytes, manifest: Manifest, agency: Agency) -> None:
    """Return if a file is what its name and folder say, and counts.

    Raises:
        AccordError: it is not, or does not.
    """
    name = named(file.name)
    if file.resolve().parent.name == "counterparts":
        verify_counterpart(data, manifest, agency, file)
    elif name is not None and from_json(data, file).payload_type == dsse.INSTRUMENT:
        verify_instrument(data, manifest, agency, name[1], file, root=agency.root)
    else:
        raise InputError(file, "is neither counterpart nor instrument", "name one of your own")
