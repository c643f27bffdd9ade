"""The codec byte by byte, and what the whole link keeps in memory, under MicroPython."""

import pytest

from host_tests.link.conftest import Peer
from host_tests.link.running import Program
from tools.broker import Broker

# Counted on 64 bit, where an object takes twice the board's; halved that is what the board needs.
HEAP_LIMIT_BYTES = 80_000


@pytest.mark.parametrize("like", ["1.3.4", "1.8"])
def test_umqtt_writes_and_reads_what_the_standard_says(micropython: str, like: str) -> None:
    with Program(micropython, "codec_checks", like=like) as program:
        program.wait("finished")
        assert program.count("passed") >= 14


@pytest.mark.parametrize("tls", [False, True])
def test_the_link_keeps_little_on_the_heap(micropython: str, tls: bool) -> None:
    with Broker(tls=tls) as broker:
        peer = Peer(broker)
        peer.publish("tapgate/home/c1/settings", "x" * 8192, retain=True)
        options = {"tls": True, "ca_file": str(broker.ca)} if tls else {}
        with Program(micropython, "heap", port=broker.port, **options) as program:
            found = program.wait("heap")
        peer.close()
    print(f"heap of the link, 64 bit, {'TLS' if tls else 'plain'}: {found}")
    assert found["connected"] and set(found["received"]) == {8192}
    assert found["all"] < HEAP_LIMIT_BYTES
