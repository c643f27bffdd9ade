"""Charging sessions, worked out from what chargers have told of them, in whatever order it came.

All that is stored of a session follows from the events about it (told.py), from what is known of
the charger's time (timeline.py) and from whose its token was (holdings.py); so the same events make
the same sessions, however often and late they come. Where an event changes what is known of other
sessions, these are worked out anew.

At one charger one session follows the other: none begins before the one before it was over, as far
as that is known, and none ends before it began.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from tools.portal import timeline, told
from tools.portal.holdings import Holders, replaced
from tools.portal.schema import ChargerBoot, ChargingSession, Event
from tools.portal.timeline import NEW_JOURNAL, Boot, Timeline
from tools.portal.token import is_token

_AT_ONCE = 500  # numbers in one statement
_NEAR = 1_000  # numbers that are looked at in one go

Stretch = tuple[int, int]  # sessions, from one number to another


def take(session: Session, holders: Holders, said: Iterable[Event]) -> None:
    """Work out what follows from these events, which are stored and new, or have got their time."""
    of: dict[int, list[Event]] = defaultdict(list)
    for event in said:
        of[event.charger_id].append(event)
    for charger, events in of.items():
        _Accounts(session, holders, charger).take(events)


class _Accounts:
    """Of one charger."""

    def __init__(self, session: Session, holders: Holders, charger: int):
        self._session = session
        self._holders = holders
        self._charger = charger
        self._boots: dict[int, ChargerBoot] = {}  # held, or the database would be asked each time

    def take(self, events: Sequence[Event]) -> None:
        stretches = self._hear(events)
        numbers = sorted({each.session for each in events if each.session is not None})
        for at in range(0, len(numbers), _AT_ONCE):
            stretches += self._tell(numbers[at : at + _AT_ONCE])
        self._session.flush()
        for first, last in _merged(stretches):
            self._settle(first, last)
        self._session.flush()

    # --- time ---

    def _hear(self, events: Sequence[Event]) -> list[Stretch]:
        """Take note of the times. Returns the sessions whose own may change by it."""
        heard: dict[int, Boot] = {}

        def hear(number: int, up: int, t: int | None, t_min: int | None, at: int) -> None:
            if number not in heard:
                row = self._boot(number)
                heard[number] = Boot(number) if row is None else _boot(row)
            heard[number] = heard[number].heard(up, t, t_min, at)

        for each in events:
            t_min = told.whole(each.body.get(told.BOUND))
            hear(each.boot, each.up, each.t, t_min, each.received_at)
            if (last := told.last_reading(each)) is not None:
                hear(*last, told.whole(each.body.get("end")), None, each.received_at)
        stretches: list[Stretch] = []
        for number, boot in sorted(heard.items()):
            row = self._boot(number)
            before = None if row is None else _boot(row)
            if boot == before:
                continue
            if row is None:
                row = ChargerBoot(charger_id=self._charger, boot=number, began=-1)
                self._boots[number] = row
                self._session.add(row)
            _note(row, boot)
            self._session.flush()
            # On what comes before it, only its beginning bears.
            same = before is not None and before.first is not None and before.first == boot.first
            stretches += self._place(number, number if same else None)
            if before is not None and before.first is None and boot.first is not None:
                stretches += self._hanging_on(number, number)  # estimated no longer
        return stretches

    def _boot(self, number: int) -> ChargerBoot | None:
        if number not in self._boots:
            row = self._session.get(ChargerBoot, (self._charger, number))
            if row is None:
                return None
            self._boots[number] = row
        return self._boots[number]

    def _place(self, number: int, lowest: int | None) -> list[Stretch]:
        """When each start between two whose time is known began, of which `number` is one."""
        row, mine = ChargerBoot, ChargerBoot.charger_id == self._charger
        known = select(row.boot).where(mine, row.first_t.is_not(None))
        if lowest is None:
            below = known.where(row.boot < number).order_by(row.boot.desc())
            lowest = self._session.scalar(below.limit(1))
        above = known.where(row.boot > number).order_by(row.boot)
        highest = self._session.scalar(above.limit(1))
        wanted = select(row).where(mine).order_by(row.boot)
        if lowest is not None:
            wanted = wanted.where(row.boot >= lowest)
        if highest is not None:
            wanted = wanted.where(row.boot <= highest)
        rows = self._session.scalars(wanted).all()
        began = Timeline(_boot(each) for each in rows).began
        moved = [each.boot for each in rows if each.began != began[each.boot]]
        for each in rows:
            if each.began != began[each.boot]:
                each.began = began[each.boot]
        return self._hanging_on(moved[0], moved[-1]) if moved else []

    def _hanging_on(self, first: int, last: int) -> list[Stretch]:
        """The sessions whose times are worked out from these starts."""
        row, found = ChargingSession, []
        for boot, t in ((row.start_boot, row.start_t), (row.end_boot, row.end_t)):
            wanted = select(func.min(row.start_n), func.max(row.start_n)).where(
                row.charger_id == self._charger, boot.between(first, last), t.is_(None)
            )
            found += [(least, most) for least, most in self._session.execute(wanted.group_by(boot))]
        return found

    # --- what happened ---

    def _tell(self, numbers: Sequence[int]) -> list[Stretch]:
        """Bring the sessions of these numbers in line with their events."""
        events: dict[int, list[Event]] = defaultdict(list)
        for event in self._session.scalars(
            select(Event).where(Event.charger_id == self._charger, Event.session.in_(numbers))
        ):
            assert event.session is not None
            events[event.session].append(event)
        here: dict[int, dict[int, ChargingSession]] = defaultdict(dict)
        for row in self._session.scalars(
            select(ChargingSession).where(
                ChargingSession.charger_id == self._charger, ChargingSession.start_n.in_(numbers)
            )
        ):
            here[row.start_n][row.boot] = row
        stretches: list[Stretch] = []
        for number in numbers:
            found, rows = told.sessions(events[number]), here[number]
            left = [boot for boot in rows if boot not in {each.boot for each in found}]
            for each in found:
                row = rows.get(each.boot) or (rows[left.pop()] if left else None)
                if row is None:
                    row = ChargingSession(
                        charger_id=self._charger, start_n=number, start=-1, estimated=False
                    )
                    self._session.add(row)
                for name, value in each._asdict().items():
                    if getattr(row, name) != value:
                        setattr(row, name, value)
                stretches.append((number, number))
            for boot in left:
                after = self._beside(rows[boot], later=True)
                self._session.delete(rows[boot])
                if after is not None:
                    stretches.append((after.start_n, after.start_n))
        return stretches

    # --- when, and whose ---

    def _settle(self, first: int, last: int) -> None:
        """Their times and their people; then on, as long as it makes a difference to the next."""
        row = ChargingSession
        found = self._session.scalars(
            select(row)
            .where(row.charger_id == self._charger, row.start_n.between(first, last))
            .order_by(row.start_n, row.boot)
        ).all()
        for boots in map(set, timeline.journals({each.boot for each in found})):
            rows = [each for each in found if each.boot in boots]
            self._settle_row(rows, self._beside(rows[0], later=False))

    def _settle_row(self, rows: Sequence[ChargingSession], before: ChargingSession | None) -> None:
        """One after the other, of one journal."""
        differs = False
        for each in rows:
            differs = self._settle_one(each, before)
            before = each
        while differs and before is not None:
            after = self._beside(before, later=True)
            differs = after is not None and self._settle_one(after, before)
            before = after

    def _settle_one(self, row: ChargingSession, before: ChargingSession | None) -> bool:
        """Whether that makes a difference to the next."""
        over = _over(row)
        end, end_estimated = self._moment(row.end_t, row.end_boot, row.end_up)
        start, start_estimated = self._moment(row.start_t, row.start_boot, row.start_up)
        if start is None:  # its session_started never came
            start, start_estimated = end, True
        assert start is not None
        floor = start if before is None else _over(before)
        if floor > start:
            start, start_estimated = floor, True
        if end is not None and end < start:
            end, end_estimated = start, True
        found = start, end, start_estimated or end_estimated
        if found != (row.start, row.end, row.estimated):
            row.start, row.end, row.estimated = found
        self._attribute(row, start_estimated)
        return over != _over(row)

    def _moment(self, t: int | None, boot: int | None, up: int | None) -> tuple[int | None, bool]:
        """UTC seconds, and whether they are estimated."""
        if t is not None or boot is None or up is None:
            return t, False
        row = self._boot(boot)
        assert row is not None
        return timeline.moment(row.began, up), row.first_t is None

    def _attribute(self, row: ChargingSession, estimated: bool) -> None:
        found = None
        if row.token is not None:
            found = self._holders.of(row.token, row.start)
            if found is None and estimated:
                found = self._holders.of(row.token, row.received_at)
        person, holding = found or (None, None)
        row.person = person
        row.holding_id = holding
        name = self._holders.pseudonym(person)
        if name is not None and is_token(row.token):
            for event in self._session.scalars(
                select(Event).where(Event.charger_id == self._charger, Event.session == row.start_n)
            ):
                event.body = replaced(event.body, {row.token: name})
            row.token = name

    def _beside(self, row: ChargingSession, *, later: bool) -> ChargingSession | None:
        """The session before, or after, of the same journal."""
        table = ChargingSession
        place, mine = tuple_(table.start_n, table.boot), (row.start_n, row.boot)
        wanted = select(table).where(
            table.charger_id == self._charger,
            place > mine if later else place < mine,
            table.boot.between(row.boot - NEW_JOURNAL + 1, row.boot + NEW_JOURNAL - 1),
        )
        order = (table.start_n, table.boot)
        if not later:
            order = tuple(each.desc() for each in order)
        return self._session.scalars(wanted.order_by(*order).limit(1)).first()


def _over(row: ChargingSession) -> int:
    return row.start if row.end is None else row.end


def _boot(row: ChargerBoot) -> Boot:
    first = None if row.first_t is None else (row.first_up or 0, row.first_t)
    last = None if row.last_t is None else (row.last_up or 0, row.last_t)
    return Boot(row.boot, row.up, first, last, row.not_before, row.not_after)


def _note(row: ChargerBoot, boot: Boot) -> None:
    row.up, row.not_before, row.not_after = boot.up, boot.not_before, boot.not_after
    row.first_up, row.first_t = boot.first or (None, None)
    row.last_up, row.last_t = boot.last or (None, None)


def _merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    """In order, with those that are near each other as one."""
    found: list[Stretch] = []
    for first, last in sorted(stretches):
        if found and first <= found[-1][1] + _NEAR:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return found
