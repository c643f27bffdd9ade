"""The command line, one module per subject. Nothing heavy is imported before a command runs."""

import typer

from tools.portal.commands import (
    calling,
    card,
    charger,
    check,
    flash,
    group,
    importing,
    installation,
    operator,
    partner,
    permission,
    person,
    provision,
    publish,
    remote,
    report,
    schedule,
    selftest,
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
        selftest,
        status,
        report,
        simulate,
        flash,
        provision,
    ):
        subject.register(app)
    return app
