"""tapgate settings."""

from typing import Annotated, Any, Literal

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.refusal import WrongUsage


def register(app: typer.Typer) -> None:
    command(app, "settings")(settings)


def settings(
    call: Call,
    charger: Annotated[
        str | None,
        typer.Option("--charger", metavar="NAME", help="This charger alone.", show_default=False),
    ] = None,
    service_may_start: Annotated[
        Literal["on", "off", "inherit"] | None,
        typer.Option(
            help="Whether a service card starts sessions. The only one that a charger may have of "
            "its own; inherit drops that.",
            show_default=False,
        ),
    ] = None,
    stop_on_withdrawal: Annotated[
        Literal["on", "off"] | None,
        typer.Option(
            help="Whether a card that is withdrawn ends its running session.", show_default=False
        ),
    ] = None,
    resume_within: Annotated[
        float | None,
        typer.Option(
            metavar="HOURS",
            help="After a power cut, a session that is not older goes on; 0: none does.",
            show_default=False,
        ),
    ] = None,
    max_age: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS",
            help="A charger that has heard nothing for so long lets nobody in; 0: it never minds.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show what holds for every session, or change it. 'tapgate access' has the access mode."""
    if charger is not None and (stop_on_withdrawal, resume_within, max_age) != (None,) * 3:
        raise WrongUsage(
            "--charger goes with --service-may-start alone; the others hold for the installation"
        )

    from tools.portal import chargers, database, installation, operators
    from tools.portal import settings as values

    resume_within_s = None if resume_within is None else values.resume_within_s(resume_within)
    max_age_s = None if max_age is None else values.max_age_s(max_age)
    changes = (service_may_start, stop_on_withdrawal, resume_within, max_age) != (None,) * 4
    with (database.changing if changes else database.reading)(call.home) as session:
        site = installation.current(session)
        where = chargers.find(session, charger) if charger is not None else None
        if service_may_start in ("on", "inherit"):
            operators.require_native(session)
        if service_may_start is not None:
            values.set_service_may_start(site, where, service_may_start)
        if stop_on_withdrawal is not None:
            site.stop_on_withdrawal = stop_on_withdrawal == "on"
        if resume_within_s is not None:
            site.resume_within_s = resume_within_s
        if max_age_s is not None:
            site.max_age_s = max_age_s
        answer = values.shown(site, where)
        others = {} if where else values.overridden(site, chargers.every(session))
    answer["overridden"] = {name: {"service_may_start": own} for name, own in others.items()}
    call.out.done(answer, *_in_words(answer), *(["next: tapgate publish"] if changes else []))


def _in_words(answer: dict[str, Any]) -> list[str]:
    where = answer["charger"] or "the installation"
    kept = [
        f"{name} {'does' if each['service_may_start'] else 'does not'}"
        for name, each in answer["overridden"].items()
    ]
    resume, age = answer["resume_within_s"], answer["max_age_s"]
    return [
        f"settings of {where}",
        f"service may start: {_on(answer['service_may_start'])}"
        + (f" ({', '.join(kept)}: its own setting)" if kept else ""),
        f"stop on withdrawal: {_on(answer['stop_on_withdrawal'])}",
        f"resume within: {f'{resume / 3_600:g} h' if resume else 'never'}",
        f"greatest age of a list: {f'{age / 86_400:g} days' if age else 'none'}",
    ]


def _on(value: bool) -> str:
    return "on" if value else "off"
