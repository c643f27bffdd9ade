"""Where events wait for `tapgate serve`: a place at the broker, under a name of its own.

A charger forgets an event when the broker has acknowledged it, and a broker keeps what it
acknowledges only for those who have such a place. So it is taken before a charger can be told
anything, long before `serve` may run for the first time.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from tools.portal import broker, database, topics
from tools.portal.refusal import Refusal

LOCK = "serve"
_ONE_IS_ENOUGH = "another 'tapgate serve' runs on these data; one is enough"


def alone(site_home: Path) -> AbstractAsyncContextManager[database.Turn]:
    """The turn of the one who takes events in. Refusal if somebody else does."""
    return database.turn(site_home, LOCK, 0, _ONE_IS_ENOUGH)


def place(access: broker.Access, site: str) -> AbstractAsyncContextManager[broker.Held]:
    """A connection that takes in what has waited, and what comes."""
    return broker.held(access, f"portal-{site}-events", [topics.event(site, "+")])


async def take(access: broker.Access, site_home: Path, site: str) -> None:
    """See that events wait from now on. Where `serve` runs they do."""
    async with _unless_served(site_home) as ours:
        if ours:
            async with place(access, site):
                pass  # what is not acknowledged goes on waiting


@asynccontextmanager
async def _unless_served(site_home: Path) -> AsyncIterator[bool]:
    try:
        async with alone(site_home):
            yield True
    except Refusal:
        yield False
