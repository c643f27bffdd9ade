import pytest

from host_tests.reader.bench import Bench


@pytest.fixture
def make_bench(monkeypatch):
    """Benches, the last of which has the clock."""
    return lambda **more: Bench(monkeypatch, **more)


@pytest.fixture
def bench(make_bench) -> Bench:
    """A bench whose reader is up."""
    return make_bench().start()
