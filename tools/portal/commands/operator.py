"""tapgate operator connect, disconnect, show."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tools.portal.commands.calling import Call, command, group

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write what the operator's platform needs, keys included, readable by you alone.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    operator = group("A third party's platform that decides each tap: connect, disconnect, show.")
    command(operator, "connect")(connect)
    command(operator, "disconnect")(disconnect)
    command(operator, "show")(show)
    app.add_typer(operator, name="operator")


def connect(
    call: Call,
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    offline: Annotated[
        Literal["deny", "list"] | None,
        typer.Option(
            help="Without its answer in time: nobody is let in, or whom the allow-list lets in. "
            "deny unless said.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        int | None,
        typer.Option(
            "--wait",
            metavar="SECONDS",
            help="How long a charger waits for the answer, 1 to 60; 10 unless said.",
            show_default=False,
        ),
    ] = None,
    out: Out = None,
) -> None:
    """Let an operator's platform decide each tap. Permissions are then managed there alone.

    Every charger asks it, also those that were open. Said again, it changes the policy and keeps
    the key. 'tapgate serve' has to run: it passes on questions and answers.
    """
    from tools.portal import database, operators

    with database.changing(call.home) as session:
        site = operators.connect(session, name, offline, wait)
        answer = _answer(site)
        if out is not None:
            operators.write_access(out, site)
            answer["file"] = str(out)
    without = {"deny": "nobody is let in", "list": "the allow-list decides"}[answer["offline"]]
    lines = [f"without its answer within {answer['wait_s']} s {without}"]
    if out is not None:
        lines.append(f"{out} holds its keys: give it to {answer['operator']} and nobody else")
    else:
        lines.append("its keys and topics: tapgate operator show --out FILE")
    call.out.done(
        answer,
        f"{answer['operator']} decides who may charge, and permissions are locked here",
        *lines,
        "next: tapgate publish, and keep tapgate serve running",
    )


def disconnect(call: Call) -> None:
    """Let the allow-list decide again, with every permission as it was. The operator's key is
    forgotten."""
    from tools.portal import database, operators

    with database.changing(call.home) as session:
        name = operators.disconnect(session)
    call.out.done(
        {"operator": None, "disconnected": name},
        f"{name} decides no more; the allow-list does, and every charger has its access mode back",
        "next: tapgate publish",
    )


def show(call: Call, out: Out = None) -> None:
    """Which operator is connected, and under what policy."""
    from tools.portal import database, installation, operators

    with database.reading(call.home) as session:
        site = installation.current(session)
        if out is not None:
            operators.require_connected(site)
            operators.write_access(out, site)
        answer: dict[str, Any] = {"operator": None}
        if site.operator_name:
            answer = _answer(site)
    if out is not None:
        answer["file"] = str(out)
    if not answer["operator"]:
        call.out.done(answer, "no operator is connected; the allow-list decides")
        return
    call.out.done(
        answer,
        f"{answer['operator']} decides; offline {answer['offline']}, waits {answer['wait_s']} s",
        f"asked on {answer['question']}, answers on {answer['answer']}",
        *([f"{out} holds its keys: for its platform and nobody else"] if out else []),
    )


def _answer(site: Any) -> dict[str, Any]:
    from tools.portal import topics

    return {
        "operator": site.operator_name,
        "offline": site.operator_offline,
        "wait_s": site.operator_wait_s,
        "question": topics.operator_question(site.name),
        "answer": topics.operator_answer(site.name),
    }
