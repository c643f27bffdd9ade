"""The command line, one module per subject. Nothing heavy is imported before a command runs."""

import typer

from tools.portal.commands import (
    card,
    charger,
    installation,
    permission,
    person,
    publish,
    simulate,
    status,
)
from tools.portal.commands.calling import group


def application() -> typer.Typer:
    app = group("Tapgate: who may charge, at every charger of an installation.")
    for subject in (installation, charger, person, permission, card, publish, status, simulate):
        subject.register(app)
    return app
