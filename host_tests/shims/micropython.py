"""What the board's `micropython` module offers, for the pure parts under CPython."""


def const(value):
    return value


def native(function):
    return function


def viper(function):
    return function


def schedule(function, argument) -> None:
    function(argument)
