"""Every session that can be reached, with every event. Runs under MicroPython too.

A limit of time is met from both sides: before each step it lies a millisecond ahead or is just
over, whichever of several comes first. So no time is waited for, and sessions are finitely many.
"""

from host_tests.access.events import EVENTS, FAULTS

PERIOD = 1 << 30  # of the ticks
NOW = PERIOD - 1  # what lies ahead lies beyond the end of the ticks
AHEAD = 0
OVER = NOW


def walk(step, start, events=EVENTS, thorough=False):
    """Every (before, event, after, effects), all at the time `NOW`. `thorough`: every event on both
    sides of every limit, not only what that limit is there for."""
    known = {start}
    to_do = [start]
    while to_do:
        session = to_do.pop()
        for event in events:
            for before in sides(session, event, thorough):
                after, effects = step(before, event, NOW)
                yield before, event, after, effects
                after = settled(after)
                if after not in known:
                    known.add(after)
                    to_do.append(after)


def settled(session):
    """The session with all its limits ahead, and no more than how many faults there are: what the
    walk knows sessions by."""
    *fields, faults, progress, holder, deadline, settling, asked = session
    return type(session)(
        *fields,
        FAULTS[: len(faults)],
        progress,
        holder,
        deadline if deadline is None else AHEAD,
        settling and (AHEAD, settling[1]),
        asked and (AHEAD, asked[1]),
    )


def sides(session, event, thorough=False):
    """The session with each limit that counts for this event ahead, and just over."""
    found = [session]
    name = event[0]
    everything = thorough or name == "tick"
    *fields, deadline, settling, asked = session
    if deadline is not None:
        found.append(type(session)(*fields, OVER, settling, asked))
    if settling is not None and (everything or name in ("tap", "ask", "answer", "shown")):
        over = (OVER, settling[1])
        found.extend([type(one)(*one[:-2], over, asked) for one in found])
    if asked is not None and everything:
        over = (OVER, asked[1])
        found.extend([type(one)(*one[:-1], over) for one in found])
    return found
