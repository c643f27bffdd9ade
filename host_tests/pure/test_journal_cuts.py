"""The journal on a flash whose supply is cut at any operation (flash_model.py)."""

from host_tests.pure import journal_life
from host_tests.pure.flash_model import Files, Flash, PowerCut
from host_tests.pure.journal_life import Life


def lived(flash, cut_at=None):
    """A life until `cut_at`, and how many operations there were."""
    files = Files(flash, cut_at)
    life = Life("journal", files, lambda: files.dead)
    try:
        life.load()
        for _ in journal_life.steps(life):
            pass
    except PowerCut:
        pass
    return life, files.operations


def cut_everywhere(torn):
    _, operations = lived(Flash(torn))
    assert operations > 100
    for cut_at in range(operations):
        flash = Flash(torn)
        before, _ = lived(flash, cut_at)
        after = Life("journal", Files(flash))
        journal_life.check(before, after, torn)


def test_the_supply_cut_at_every_operation_loses_and_doubles_nothing():
    cut_everywhere(torn=False)


def test_nor_where_a_write_may_be_torn():
    cut_everywhere(torn=True)
