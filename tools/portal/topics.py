"""Where messages go (DESIGN sections 6 to 8)."""

ROOT = "tapgate"


def settings(installation: str, charger: str) -> str:
    return _of(installation, charger, "settings")


def allowlist(installation: str, charger: str) -> str:
    return _of(installation, charger, "allowlist")


def command(installation: str, charger: str) -> str:
    return _of(installation, charger, "command")


def verdict(installation: str, charger: str) -> str:
    return _of(installation, charger, "verdict")


def state(installation: str, charger: str) -> str:
    return _of(installation, charger, "state")


def event(installation: str, charger: str) -> str:
    return _of(installation, charger, "event")


def authorise(installation: str, charger: str) -> str:
    return _of(installation, charger, "authorise")


def object_(installation: str, digest: str) -> str:
    return _of(installation, "object", digest)


def operator_question(installation: str) -> str:
    """From the portal to the operator's platform."""
    return _of(installation, "operator", "question")


def operator_answer(installation: str) -> str:
    return _of(installation, "operator", "answer")


def _of(*levels: str) -> str:
    return "/".join((ROOT, *levels))
