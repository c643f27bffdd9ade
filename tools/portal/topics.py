"""Where messages go (DESIGN sections 6 to 8)."""

ROOT = "tapgate"


def settings(installation: str, charger: str) -> str:
    return f"{ROOT}/{installation}/{charger}/settings"


def allowlist(installation: str, charger: str) -> str:
    return f"{ROOT}/{installation}/{charger}/allowlist"


def state(installation: str, charger: str) -> str:
    return f"{ROOT}/{installation}/{charger}/state"


def object_(installation: str, digest: str) -> str:
    return f"{ROOT}/{installation}/object/{digest}"


def command(installation: str, charger: str) -> str:
    return f"{ROOT}/{installation}/{charger}/command"


def event(installation: str, charger: str) -> str:
    return f"{ROOT}/{installation}/{charger}/event"


def authorise(installation: str, charger: str) -> str:
    return f"{ROOT}/{installation}/{charger}/authorise"


def verdict(installation: str, charger: str) -> str:
    return f"{ROOT}/{installation}/{charger}/verdict"


def operator_question(installation: str) -> str:
    """From the portal to the operator's platform."""
    return f"{ROOT}/{installation}/operator/question"


def operator_answer(installation: str) -> str:
    return f"{ROOT}/{installation}/operator/answer"
