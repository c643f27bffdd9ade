"""The one assertion that plain `assert` lacks, for tests that run under both interpreters."""


def raises(error, function, *arguments):
    """Call `function`; return the `error` it raises, or fail."""
    try:
        function(*arguments)
    except error as caught:
        return caught
    raise AssertionError(f"{error.__name__} not raised")
