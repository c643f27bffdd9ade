"""What a command says when it does not do what was asked: one line, why and what to do."""


class Refusal(Exception):
    """Refused or failed."""

    exit_status = 1


class WrongUsage(Refusal):
    """The command line itself is wrong: no data could make it right."""

    exit_status = 2
