"""Each task of the firmware breaks, and each stands still, in the middle of a session: the
contactor opens, the console says which, the board starts again, and the session goes on.

Six chargers at a time, one for each task: nearly all of it is waiting for the watchdog.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from host_tests.end_to_end.conftest import Site
from host_tests.end_to_end.seeing import coil
from host_tests.faults.conftest import prepared
from tools.broker import free_port
from tools.virtual.client import VirtualCharger

TASKS = ("control", "reader", "wifi", "mqtt", "housekeeping", "ntp")  # in the order of App._run
BACK_S = 30.0  # the pause after a crash, and a start on a busy computer
BITTEN_S = 30.0  # 6 s until a task is late, and 8 s until the watchdog bites
WATCHED_LATE = tuple(task for task in TASKS if task != "housekeeping")  # that task feeds it

# The firmware's own main.py, with each of its tasks wrapped so that the file `sabotage` ends it.
MAIN = f"""
import asyncio, os

create_task = asyncio.create_task
names = list({TASKS!r})

def order(name):
    try:
        with open("sabotage") as file:
            victim, how = file.read().split()
    except (OSError, ValueError):
        return None
    if victim != name:
        return None
    os.remove("sabotage")
    return how

async def watched(name, task):
    running = create_task(task)
    while not running.done():
        how = order(name)
        if how == "breaks":
            raise ValueError("the task %s broke" % name)
        if how == "stands":
            running.cancel()
            await asyncio.sleep(3600)
        await asyncio.sleep_ms(100)

def watched_by_name(task):
    return create_task(watched(names.pop(0), task) if names else task)

asyncio.create_task = watched_by_name
exec(open("main.py").read())
"""


def is_reset(cause: str) -> Callable[[dict], bool]:
    return lambda push: push.get("reset") == cause


def lived_through(site: Site, folder: Path, config: Path, task: str) -> None:
    flash, main = folder / f"{task}-flash", folder / "sabotaged_main.py"
    with VirtualCharger.start(config, flash, main=main, timeout_s=BACK_S) as charger:
        charger.do("plug")
        charger.wait_for(coil(True), BACK_S, 0)
        for how, cause in (("breaks", "soft"), ("stands", "watchdog")):
            since = charger.mark()
            (flash / "sabotage").write_text(f"{task} {how}")
            charger.wait_for(coil(False), BITTEN_S, since)
            charger.wait_for(is_reset(cause), BACK_S, since)
            charger.wait_for(coil(True), BACK_S, since)  # open access: the session goes on
        said = "\n".join(charger.output)
        assert f"the task {task} broke" in said
        assert (f"late: {task}" in said) == (task in WATCHED_LATE), said


def test_whichever_task_breaks_or_stands_still_the_contactor_opens_and_the_board_starts_again(
    site: Site, tmp_path: Path
):
    (tmp_path / "sabotaged_main.py").write_text(MAIN)
    nobody = {"port": free_port()}
    configs = {task: prepared(site, f"t-{task}", access="open", broker=nobody) for task in TASKS}
    with ThreadPoolExecutor(len(TASKS)) as all_at_once:
        for done in [
            all_at_once.submit(lived_through, site, tmp_path, configs[task], task) for task in TASKS
        ]:
            done.result()
