"""What can be wrong with an allow-list; the text says what was found and what was expected."""


class ObjectError(ValueError):
    """A shard or an index that is not what DESIGN section 6 says, or not what its name says."""


class ListError(ValueError):
    """A ref, or a list as a whole, that cannot be followed."""
