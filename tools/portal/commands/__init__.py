"""The command line, one module per subject. Nothing heavy is imported before a command runs."""

import typer

from tools.portal.commands import (
    calling,
    card,
    charger,
    check,
    group,
    importing,
    installation,
    operator,
    partner,
    permission,
    person,
    publish,
    remote,
    report,
    schedule,
    serve,
    settings,
    simulate,
    status,
)


def application() -> typer.Typer:
    app = calling.group("Tapgate: who may charge, at every charger of an installation.")
    for subject in (
        installation,
        charger,
        person,
        permission,
        card,
        group,
        schedule,
        partner,
        settings,
        importing,
        operator,
        publish,
        serve,
        check,
        remote,
        status,
        report,
        simulate,
    ):
        subject.register(app)
    return app
