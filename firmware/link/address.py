"""What every link needs of names and addresses; asking for a name is dns.py."""


class DnsError(OSError):
    """No address for a name."""


def is_address(host: str) -> bool:
    """Whether `host` is an IPv4 address in text."""
    parts = host.split(".")
    return len(parts) == 4 and all(
        0 < len(part) <= 3 and not part.strip("0123456789") and int(part) <= 255 for part in parts
    )
