"""tapgate publish."""

from typing import Annotated

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.output import count


def register(app: typer.Typer) -> None:
    command(app, "publish")(publish)


def publish(
    call: Call,
    everything: Annotated[
        bool, typer.Option("--all", help="Issue every message anew, changed or not.")
    ] = False,
    clock_is_right: Annotated[
        bool,
        typer.Option(
            "--clock-is-right",
            help="Once, where this computer's clock was doubted: it is right, go on signing.",
        ),
    ] = False,
) -> None:
    """Work out and publish whatever changed, once. Run again after a failure it goes on."""
    from tools.portal import publishing

    plan = publishing.publish(call.home, everything=everything, clock_is_right=clock_is_right)
    answer = {
        "chargers": plan.chargers,
        "messages": len(plan.messages),
        "objects": len(plan.objects),
    }
    if call.out.as_json:
        call.out.value(answer)
        return
    changed = [
        f"{each['charger']}: {' and '.join(what)}, {count(each['allowlist']['cards'], 'card')}"
        for each in plan.chargers
        if (what := [kind for kind in ("allowlist", "settings") if each[kind]["published"]])
    ]
    if not plan.chargers:
        call.out.done(answer, "there is no charger yet; run 'tapgate charger add NAME'")
    elif not plan.messages and not plan.objects:
        call.out.done(answer, "nothing has changed; the broker has everything")
    else:
        call.out.done(
            answer,
            f"published: {count(len(plan.messages), 'message')} "
            f"and {count(len(plan.objects), 'object')}",
            *changed,
        )
