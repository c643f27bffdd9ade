"""What a board is told beside its keys: the options that `charger config` and `provision` share."""

import time
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from tools.portal.commands.calling import typed
from tools.portal.refusal import Refusal, WrongUsage

_PANEL = "The board (remembered for the next time)"

WifiSsid = Annotated[
    str | None,
    typer.Option(metavar="SSID", rich_help_panel=_PANEL, show_default=False),
]
WifiPassword = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="Better given as $TAPGATE_WIFI_PASSWORD: others see a command line.",
        envvar="TAPGATE_WIFI_PASSWORD",
        show_envvar=False,
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Light = Annotated[
    Literal["rgb", "neopixel"] | None,
    typer.Option(rich_help_panel=_PANEL, show_default=False),
]
Vehicle = Annotated[
    Literal["contact", "pilot"] | None,
    typer.Option(
        help="How a vehicle is noticed: a contact, or IEC 61851's control pilot.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Meter = Annotated[
    Literal["none", "s0"] | None,
    typer.Option(rich_help_panel=_PANEL, show_default=False),
]
BrokerUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The broker as this charger reaches it, where that is another address or user; "
        "- reads it from standard input.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Anything else of config.json, like pins.feedback=null; may be repeated.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Defaults = Annotated[
    bool,
    typer.Option("--defaults", help="Forget what was remembered first.", rich_help_panel=_PANEL),
]


@dataclass
class Choices:
    """What was given on the command line."""

    wifi_ssid: str | None = None
    wifi_password: str | None = None
    light: str | None = None
    vehicle: str | None = None
    meter: str | None = None
    broker: str | None = None
    assignments: list[str] | None = None
    defaults: bool = False

    def __post_init__(self) -> None:
        if self.broker:  # before the data are locked for everybody else
            self.broker = typed(self.broker)

    def remember(self, site: Any, charger: Any) -> dict[str, Any]:
        """Bring what the portal knows of the charger's board up to date. Returns its
        configuration; WrongUsage if it is none that a board would start with."""
        from sqlalchemy.orm import object_session

        from tools.portal import board_config, own_clock

        # Its `issued` is the first time that the board knows.
        own_clock.check(object_session(site), int(time.time()))  # pyright: ignore
        wifi = {"ssid": self.wifi_ssid, "password": self.wifi_password}
        sections = {
            "wifi": {key: value for key, value in wifi.items() if value is not None},
            "light": {"kind": self.light} if self.light else {},
            "vehicle": {"kind": self.vehicle} if self.vehicle else {},
            "meter": {"kind": self.meter} if self.meter else {},
            "broker": board_config.broker_for_charger(self.broker) if self.broker else {},
        }
        sections = {name: values for name, values in sections.items() if values}
        before = {} if self.defaults else charger.hardware
        charger.hardware = board_config.changed(before, sections, self.assignments or [])
        try:
            return board_config.config(site, charger)
        except Refusal as why:
            given = sections or self.assignments
            raise (WrongUsage if given else Refusal)(str(why)) from None
