"""What holds for every session at all chargers. The access mode, and whether service cards start, a
charger may have of its own."""

from tools.portal.refusal import WrongUsage
from tools.portal.schema import Charger, Installation

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
RESUME_MAX_H = 168  # a week
MAX_AGE_MIN_D = 0.05
MAX_AGE_MAX_D = 3_650


def access(site: Installation, charger: Charger) -> str:
    """The mode that holds at that charger. While an operator decides, no charger is exempt from
    asking; what was set here counts again when the operator is gone."""
    return "restricted" if site.operator_name else charger.access or site.access


def set_access(site: Installation, charger: Charger | None, word: str) -> None:
    """`word`: open, restricted, or inherit, which drops a charger's own."""
    if charger is not None:
        charger.access = None if word == "inherit" else word
    elif word == "inherit":
        raise _nothing_to_inherit()
    else:
        site.access = word


def service_may_start(site: Installation, charger: Charger | None) -> bool:
    own = None if charger is None else charger.service_may_start
    return site.service_may_start if own is None else own


def set_service_may_start(site: Installation, charger: Charger | None, word: str) -> None:
    """`word`: on, off, or inherit, which drops a charger's own."""
    if charger is not None:
        charger.service_may_start = None if word == "inherit" else word == "on"
    elif word == "inherit":
        raise _nothing_to_inherit()
    else:
        site.service_may_start = word == "on"


def resume_within_s(hours: float) -> int:
    """After a power cut a session goes on if it is not older; 0: none does."""
    if not 0 <= hours <= RESUME_MAX_H:
        raise WrongUsage(
            f"--resume-within: found {hours:g}, allowed are 0 to {RESUME_MAX_H} hours; "
            "0: no session goes on"
        )
    return round(hours * HOUR_S)


def max_age_s(days: float) -> int:
    """How old a list may get before nobody is let in by it; 0: any age."""
    if days and not MAX_AGE_MIN_D <= days <= MAX_AGE_MAX_D:
        raise WrongUsage(
            f"--max-age: found {days:g}, allowed are 0 (a list never gets too old) or "
            f"{MAX_AGE_MIN_D} to {MAX_AGE_MAX_D} days"
        )
    return round(days * DAY_S)


def shown(site: Installation, charger: Charger | None) -> dict[str, object]:
    """As they hold there: the installation's, or one charger's."""
    return {
        "charger": charger.name if charger else None,
        "service_may_start": service_may_start(site, charger),
        "stop_on_withdrawal": site.stop_on_withdrawal,
        "resume_within_s": site.resume_within_s,
        "max_age_s": site.max_age_s,
    }


def overridden(site: Installation, chargers: list[Charger]) -> dict[str, bool]:
    """Chargers that have their own `service_may_start`, other than the installation's."""
    return {
        each.name: each.service_may_start
        for each in chargers
        if each.service_may_start not in (None, site.service_may_start)
    }


def _nothing_to_inherit() -> WrongUsage:
    return WrongUsage("inherit needs --charger NAME: it drops that charger's override")
