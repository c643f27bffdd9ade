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
