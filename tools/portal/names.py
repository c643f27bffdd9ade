"""Names that people type: what is allowed, and when two of them mean the same."""

import re

from tools.portal.refusal import WrongUsage

# INTERFACES section 4: installation and charger are parts of topics.
_SLUG = re.compile(r"[a-z0-9-]{1,32}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)*")
EMAIL_MAX_CHARACTERS = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets
TEXT_MAX_CHARACTERS = 100

# tapgate/{installation}/object/{digest} and …/operator/question: the same level as the chargers.
RESERVED = frozenset({"object", "operator"})


def slug(text: str, what: str) -> str:
    if not _SLUG.fullmatch(text):
        raise WrongUsage(
            f"{what}: found {_quoted(text)}, allowed are 1 to 32 of a-z, 0-9 and '-'",
        )
    if text in RESERVED:
        raise WrongUsage(f"{what}: '{text}' has a meaning of its own in the topics; take another")
    return text


def email(text: str) -> str:
    """The address as given, without the blanks around it."""
    found = text.strip()
    if (
        not _EMAIL.fullmatch(found)
        or len(found) > EMAIL_MAX_CHARACTERS
        or not _is_one_printable_line(found)
    ):
        raise WrongUsage(f"{_quoted(text)} is not an e-mail address, like anna@example.org")
    return found


def email_key(text: str) -> str:
    """Two addresses with the same key are the same person's: case does not count."""
    return text.strip().casefold()


def free_text(text: str, what: str) -> str:
    """A name or a label: one printable line."""
    found = text.strip()
    if not found or len(found) > TEXT_MAX_CHARACTERS or not _is_one_printable_line(found):
        raise WrongUsage(
            f"{what}: found {_quoted(text)}, allowed is one printable line "
            f"of up to {TEXT_MAX_CHARACTERS} characters"
        )
    return found


def _is_one_printable_line(text: str) -> bool:
    # isprintable() is false for control characters, for what cannot be encoded (surrogates) and
    # for the marks that turn the direction of writing around.
    return text.isprintable()


def _quoted(text: str) -> str:
    shown = text if len(text) <= 40 else text[:39] + "…"
    return repr(shown)
