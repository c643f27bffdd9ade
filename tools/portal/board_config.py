"""The config.json of one board (INTERFACES section 5): the firmware's own defaults and check, and
what this installation and this charger have to say about it."""

import copy
import json
import sys
import time
import types
from typing import Any

from tools.portal import broker_address
from tools.portal.refusal import Refusal, WrongUsage
from tools.portal.schema import Charger, Installation

# Not to be set by hand: who the charger is, and the keys that go with it.
_OURS = frozenset({"installation", "charger", "charger_key", "card_key", "broker", "issued"})

Hardware = dict[str, Any]


def changed(hardware: Hardware, choices: Hardware, assignments: list[str]) -> Hardware:
    """What is remembered of a charger's hardware, after this command's options. `choices`: sections
    given by options of their own. `assignments`: PATH=VALUE texts."""
    found = copy.deepcopy(hardware)
    for section, values in choices.items():
        if "kind" in values and values["kind"] != found.get(section, {}).get("kind"):
            found[section] = {}
        found[section] = {**found.get(section, {}), **values}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = path.split(".")
        if not equals or not all(keys) or len(keys) > 2:
            raise WrongUsage(f"--set {path}: write it like pins.feedback=null or poll_ms=50")
        if keys[0] in _OURS:
            raise WrongUsage(f"--set {path}: that is the portal's to fill in")
        place = found
        if len(keys) == 2:
            place = found.setdefault(keys[0], {})
            if not isinstance(place, dict):
                raise WrongUsage(f"--set {path}: {keys[0]} has a value of its own already")
        place[keys[-1]] = _value(text)
    return found


def broker_for_charger(text: str) -> Hardware:
    """The broker as the charger reaches it, where that differs from the portal's way."""
    address = broker_address.parse(text)
    found: Hardware = {"host": address.host, "port": address.port, "tls": address.tls}
    if address.user:
        found |= {"user": address.user, "password": address.password}
    return found


def config(site: Installation, charger: Charger) -> Hardware:
    """The whole file, checked as the board will check it."""
    broker = {
        "host": site.broker_host,
        "port": site.broker_port,
        "user": site.broker_user,
        "password": site.broker_password,
        "tls": site.broker_tls,
        **charger.hardware.get("broker", {}),
    }
    broker["ca"] = site.broker_ca if broker["tls"] else ""
    own = {
        "installation": site.name,
        "charger": charger.name,
        "charger_key": charger.key,
        "card_key": site.card_key,
        "broker": broker,
        "issued": int(time.time()),
    }
    wifi = {"ssid": site.name, **charger.hardware.get("wifi", {})}
    given = {**charger.hardware, "wifi": wifi, **own}
    firmware = _firmware_config()
    try:
        checked = firmware.check(given)
    except firmware.ConfigError as error:
        raise Refusal(str(error)) from None
    # Who it is first, then everything else in the firmware's order.
    return {key: checked[key] for key in [*own, *checked] if key in checked}


def text(found: Hardware) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _firmware_config() -> types.ModuleType:
    """The board's module. Outside MicroPython its `const` is what it is there: the value itself."""
    if "micropython" not in sys.modules:
        stand_in = types.ModuleType("micropython")
        vars(stand_in)["const"] = lambda value: value
        sys.modules["micropython"] = stand_in
    from firmware import config as module

    return module
