"""The installation itself: setting it up, its broker, and the access mode of its chargers."""

import secrets
import time
from datetime import tzinfo
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tools.portal import database, moments, names
from tools.portal.broker_address import BrokerAddress
from tools.portal.refusal import WrongUsage
from tools.portal.schema import Group, Installation, Permission, Person, Publication

KEY_BYTES = 32


def set_up(
    home: Path, name: str, broker: BrokerAddress, ca: str, owner: str, timezone: str
) -> Installation:
    """A new installation with one owner. Restricted, as every new one is (DESIGN section 3)."""
    now = int(time.time())
    site = Installation(
        name=names.slug(name, "installation"),
        timezone=timezone,
        card_key=secrets.token_hex(KEY_BYTES),
        created_at=now,
    )
    set_broker(site, broker, ca)
    person = Person(email=names.email(owner), email_key=names.email_key(owner), added_at=now)
    person.permissions.append(Permission(role="owner", given_at=now))
    person.group, site.last_group = Group(number=1, name=None), 1
    database.create(home, site, person)
    return site


def current(session: Session) -> Installation:
    return session.scalars(select(Installation)).one()


def zone(site: Installation) -> tzinfo:
    return moments.zone(site.timezone)


def broker(site: Installation) -> BrokerAddress:
    return BrokerAddress(
        site.broker_host, site.broker_port, site.broker_tls, site.broker_user, site.broker_password
    )


def set_broker(site: Installation, address: BrokerAddress, ca: str) -> None:
    """`ca`: PEM. A board has no list of authorities of its own, so TLS is nothing without one."""
    if address.tls and not ca:
        raise WrongUsage(
            "mqtts:// needs --ca FILE, the certificate of the authority that signed the broker's: "
            "chargers trust no other"
        )
    if ca and not address.tls:
        raise WrongUsage("--ca is for mqtts://; with mqtt:// nothing is encrypted")
    site.broker_host, site.broker_port, site.broker_tls = address.host, address.port, address.tls
    site.broker_user, site.broker_password, site.broker_ca = address.user, address.password, ca


def move(session: Session, address: BrokerAddress, ca: str) -> None:
    """To another broker, which holds nothing yet."""
    set_broker(current(session), address, ca)
    session.execute(update(Publication).values(confirmed_at=None))
