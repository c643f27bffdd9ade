"""What chargers and an operator's platform say to the portal: nothing is raised, and what is stored
is what was signed, of the types that all who read it rely on. What is stored can be shown."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from sqlalchemy import create_engine, select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from host_tests.fuzz import inputs
from host_tests.fuzz.trying import fuzz, tried
from tools.cli import main
from tools.portal import database, intake, signing, topics
from tools.portal.app_sessions import AppSessions
from tools.portal.bridge import ROLES, VERDICTS, Bridge
from tools.portal.duty import Order, Outgoing, Remark
from tools.portal.schema import Base, Charger, Event, Installation, Publication, ReportedState

KEYS = {"left": "11" * 32, "right": "22" * 32}
FORMER = "33" * 32
OPERATOR = "44" * 32
NOW = 1_800_000_000
NOWHERE = Path("/dev/null")  # no file can be left there
TOPICS = {name: topics.event("home", name) for name in KEYS}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """A database in memory: an installation whose operator decides, and two chargers."""
    made = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(made)
    with Session(made) as session:
        session.add(
            Installation(
                name="home",
                timezone="UTC",
                card_key="00" * 32,
                broker_host="b",
                broker_port=1883,
                broker_tls=False,
                created_at=NOW,
                operator_name="op",
                operator_key=OPERATOR,
            )
        )
        for name, key in KEYS.items():
            session.add(Charger(name=name, key=key, hardware={}, added_at=0))
        session.flush()
        left = session.scalars(select(Charger).where(Charger.name == "left")).one()
        left.former_key = FORMER
        wanted = {"index": "ab" * 16, "cards": 3}
        for kind, content in (
            ("allowlist", wanted),
            ("settings", {"access": "open", "authority": "native"}),
        ):
            session.add(publication(left, kind, content))
        session.commit()
    yield made
    made.dispose()


def publication(charger: Charger, kind: str, content: dict) -> Publication:
    topic = getattr(topics, kind)("home", charger.name)
    return Publication(
        topic=topic,
        kind=kind,
        charger_id=charger.id,
        v=5,
        t=0,
        content=json.dumps(content),
        payload="",
    )


class Undone:
    """A session whose every change is taken back at the end."""

    def __init__(self, engine: Engine):
        self._engine = engine

    def __enter__(self) -> Session:
        self._connection: Connection = self._engine.connect()
        self._transaction = self._connection.begin()
        self.session = Session(
            self._connection,
            join_transaction_mode="create_savepoint",
            info={"home": NOWHERE},
        )
        return self.session

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self._transaction.rollback()
        self._connection.close()


# --- states ---------------------------------------------------------------------------------------

ALLOWLISTS = st.one_of(
    st.just({"version": 5, "digest": "ab" * 16, "cards": 3}),
    st.fixed_dictionaries(
        {},
        optional={
            "version": inputs.SCALARS,
            "digest": inputs.SCALARS,
            "cards": inputs.SCALARS,
            "age_s": inputs.SCALARS,
        },
    ),
    inputs.VALUES,
)
STATES = st.fixed_dictionaries(
    {"online": st.one_of(st.just(True), st.just(True), inputs.VALUES)},
    optional={
        "state": inputs.VALUES,
        "access": st.one_of(st.just("open"), inputs.VALUES),
        "allowlist": ALLOWLISTS,
        "faults": inputs.VALUES,
        "reader": inputs.VALUES,
        "link": inputs.VALUES,
        "firmware": inputs.VALUES,
        "light": inputs.VALUES,
        "uptime_s": inputs.VALUES,
        "clock": inputs.VALUES,
        "session": inputs.VALUES,
        "journal": inputs.VALUES,
        "boot": inputs.VALUES,
        "authority": inputs.VALUES,
    },
)
PAYLOADS = st.one_of(
    STATES.map(inputs.text).map(str.encode),
    inputs.damaged(STATES.map(inputs.text).map(str.encode)),
    inputs.objects("online", "state", "allowlist").map(inputs.coded),
    inputs.objects("state").map(lambda text: inputs.coded('{"online":true,' + text[1:])),
    inputs.JSON_BYTES,
    st.sampled_from((65_530, 65_540)).map(
        lambda size: b'{"online":true,"x":"' + b"x" * size + b'"}'
    ),
)


def depth(value: Any) -> int:
    level, found = [value], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        level = [x for each in level for x in (each.values() if isinstance(each, dict) else each)]
        found += 1
    return found


@fuzz("states", 120, st.one_of(PAYLOADS, st.none()))
def test_a_state_is_a_json_object_or_nothing(payload: bytes | None) -> None:
    body = intake.state(payload)
    assert type(body) is dict
    if body:
        assert payload is not None and len(payload) <= intake.STATE_LIMIT_BYTES
        assert inputs.same(body, json.loads(payload))
        assert depth(body) <= intake.NESTING_LIMIT
        assert json.loads(json.dumps(body, allow_nan=False)) == body


@fuzz(
    "states",
    120,
    st.dictionaries(st.sampled_from(("left", "right", "nobody", "")), PAYLOADS, min_size=1),
)
def test_states_are_kept_of_those_who_are_there(engine: Engine, said: dict[str, bytes]) -> None:
    with Undone(engine) as session:
        bodies = {name: intake.state(payload) for name, payload in said.items()}
        here = intake.remember(session, bodies, NOW)
        session.flush()
        session.expire_all()
        rows = {each.charger_id: each for each in session.scalars(select(ReportedState))}
        online = {n for n, body in bodies.items() if n in KEYS and body.get("online") is True}
        assert {charger.name for charger, _ in here} == online and len(rows) == len(online)
        for charger, body in here:
            assert inputs.same(rows[charger.id].body, body) and rows[charger.id].seen_at == NOW
        assert intake.remember(session, bodies, NOW + 9) == here  # the same once more is no news
        assert all(each.seen_at == NOW for each in session.scalars(select(ReportedState)))
        allowlist = bodies.get("left", {}).get("allowlist")
        row = session.get(Publication, topics.allowlist("home", "left"))
        if "left" in online and row is not None:
            right = isinstance(allowlist, dict) and inputs.same(
                [allowlist.get(each) for each in ("version", "digest", "cards")], [5, "ab" * 16, 3]
            )
            assert (row.waiting_since is None) == right


def test_numbers_without_end_are_no_state() -> None:
    for value in (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"[[[[[[[[1]]]]]]]]", b"9" * 5_000):
        tried["states"] += 1
        assert intake.state(b'{"online":true,"x":' + value + b"}") == {}


# --- events ---------------------------------------------------------------------------------------

FIELDS = st.fixed_dictionaries(
    {
        "n": st.one_of(st.integers(1, 4), st.integers(1, 4), inputs.SCALARS),
        "boot": st.one_of(st.just(1), inputs.SCALARS),
        "t": st.one_of(st.none(), st.just(NOW - 5), inputs.SCALARS),
        "up": st.one_of(st.integers(0, 99), inputs.SCALARS),
        "event": st.one_of(
            st.sampled_from(
                (
                    "booted",
                    "session_started",
                    "session_ended",
                    "list_applied",
                    "fault",
                    "card_refused",
                    "command_done",
                    "message_rejected",
                    "card_enrolled",
                )
            ),
            inputs.TEXTS,
            inputs.VALUES,
        ),
    },
    optional={
        "v": st.one_of(st.just(5), inputs.SCALARS),
        "token": st.one_of(st.just("0a" * 7), inputs.VALUES),
        "start": inputs.SCALARS,
        "end": inputs.SCALARS,
        "wh": inputs.SCALARS,
        "role": inputs.VALUES,
        "reason": inputs.VALUES,
        "session": inputs.SCALARS,
        "why": inputs.VALUES,
        "fault": inputs.VALUES,
        "detail": inputs.VALUES,
        "t_min": inputs.SCALARS,
        "command": inputs.VALUES,
        "ok": inputs.VALUES,
    },
)
GOOD_FIELDS = st.fixed_dictionaries(
    {
        "n": st.integers(1, 4),
        "boot": st.integers(1, 2),
        "t": st.one_of(st.none(), st.just(NOW - 5)),
        "up": st.integers(0, 99),
        "event": st.sampled_from(("booted", "list_applied", "fault")),
    },
    optional={"v": st.just(5), "why": inputs.VALUES},
)
ALL_KEYS = (*KEYS.values(), FORMER, OPERATOR)


def signed_text(key: str, topic: str, text: bytes) -> bytes:
    made = signing._signature(bytes.fromhex(key), topic, text)
    return made + b" " + text


EVENT_TEXTS = st.one_of(
    GOOD_FIELDS.map(inputs.text).map(str.encode),
    inputs.one_wrong(GOOD_FIELDS, ("n", "boot", "t", "up", "event", "why"))
    .map(inputs.text)
    .map(str.encode),
    FIELDS.map(inputs.text).map(str.encode),
    inputs.objects("n", "boot", "event").map(
        lambda text: inputs.coded('{"n":1,"boot":1,"t":null,"up":0,"event":"booted",' + text[1:])
    ),
    inputs.JSON_BYTES,
)
EVENTS = st.one_of(
    st.builds(
        lambda name, text, key: (
            name,
            TOPICS[name],
            signed_text(key or KEYS[name], TOPICS[name], text),
        ),
        st.sampled_from(tuple(KEYS)),
        EVENT_TEXTS,
        st.one_of(st.none(), st.none(), st.sampled_from(ALL_KEYS)),
    ),
    st.builds(
        lambda name, topic, payload: (name, topic, payload),
        st.sampled_from((*KEYS, "nobody", "\x00")),
        st.one_of(st.sampled_from(tuple(TOPICS.values())), st.text(st.characters(codec="utf-8"))),
        inputs.damaged(
            EVENT_TEXTS.map(lambda text: signed_text(KEYS["left"], TOPICS["left"], text))
        ),
    ),
)


def parsed(text: bytes) -> dict:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def is_signed(name: str, topic: str, payload: bytes) -> bool:
    keys = [KEYS[name], *([FORMER] if name == "left" else [])]
    return any(payload == signed_text(key, topic, payload[65:]) for key in keys)


@fuzz("events", 60, st.lists(EVENTS, min_size=1, max_size=5), counts=False)
def test_events_are_stored_as_they_were_signed(
    engine: Engine, said: list[tuple[str, str, bytes]]
) -> None:
    tried["events"] += len(said)
    with Undone(engine) as session:
        new, refused = intake.store(session, said, NOW)
        assert len(new) + len(refused) <= len(said)
        session.flush()
        session.expire_all()
        rows = list(session.scalars(select(Event).order_by(Event.id)))
        assert [each.id for _, each in new] == [each.id for each in rows]
        names = {each.id: each.name for each in session.scalars(select(Charger))}
        seen = set()
        for row in rows:
            name = names[row.charger_id]
            assert (name, row.n) not in seen
            seen.add((name, row.n))
            bodies = [
                parsed(payload[65:])
                for each, topic, payload in said
                if each == name and is_signed(name, topic, payload)
            ]
            stored = {"n": row.n, "boot": row.boot, "t": row.t, "up": row.up, "event": row.event}
            assert any(inputs.same({"t": None, **body}, {**row.body, **stored}) for body in bodies)
            for number in (row.n, row.boot, row.up, row.t or 0):
                assert type(number) is int and 0 <= number < 1 << 62
            assert type(row.event) is str and 0 < len(row.event) <= 32 and row.event.isprintable()
            assert depth(row.body) < intake.NESTING_LIMIT and row.received_at == NOW
        for each in refused:
            assert intake.shown(each.charger).isprintable() and each.why.isprintable()
        # Once more: a broker may bring it twice.
        again, _ = intake.store(session, said, NOW + 1)
        assert again == []
        assert list(session.scalars(select(Event).order_by(Event.id))) == rows


@fuzz("events", 40, inputs.VALUES)
def test_a_chargers_word_can_stand_on_a_terminal(found: Any) -> None:
    text = intake.shown(found)
    assert text.isprintable() and len(text) <= 200
    text.encode()


# --- duties: questions to an operator, and starts from the app ------------------------------------

QUESTIONS = st.fixed_dictionaries(
    {
        "n": st.one_of(st.integers(1, 9), inputs.VALUES),
        "token": st.one_of(st.just("0a" * 7), inputs.VALUES),
        "state": st.one_of(st.just("awaiting"), inputs.VALUES),
    },
    optional={"t": st.one_of(st.just(NOW), inputs.VALUES), "up": inputs.VALUES},
)
ANSWERS = st.fixed_dictionaries(
    {
        "v": st.one_of(st.integers(1, 9), inputs.VALUES),
        "t": st.one_of(st.just(NOW), inputs.VALUES),
        "n": st.one_of(st.integers(1, 9), inputs.VALUES),
        "charger": st.one_of(st.sampled_from(tuple(KEYS)), inputs.VALUES),
        "verdict": st.one_of(st.sampled_from(sorted(VERDICTS)), inputs.VALUES),
    },
    optional={
        "role": st.one_of(st.sampled_from(ROLES), inputs.VALUES),
        "group": st.one_of(st.integers(0, 70_000), inputs.VALUES),
    },
)
ANSWER_TOPIC = topics.operator_answer("home")
ASK_TOPICS = {name: topics.authorise("home", name) for name in KEYS}
TO_THE_BRIDGE = st.one_of(
    st.builds(
        lambda name, body: (ASK_TOPICS[name], signed_text(KEYS[name], ASK_TOPICS[name], body)),
        st.sampled_from(tuple(KEYS)),
        QUESTIONS.map(inputs.text).map(str.encode),
    ),
    ANSWERS.map(
        lambda b: (ANSWER_TOPIC, signed_text(OPERATOR, ANSWER_TOPIC, inputs.text(b).encode()))
    ),
    inputs.JSON_BYTES.map(lambda text: (ANSWER_TOPIC, signed_text(OPERATOR, ANSWER_TOPIC, text))),
    st.tuples(
        st.sampled_from((ANSWER_TOPIC, *ASK_TOPICS.values(), topics.authorise("home", "nobody"))),
        inputs.damaged(
            ANSWERS.map(lambda b: signed_text(OPERATOR, ANSWER_TOPIC, inputs.text(b).encode()))
        ),
    ),
)


@fuzz("questions and answers", 60, st.lists(TO_THE_BRIDGE, min_size=1, max_size=6), counts=False)
def test_nothing_is_passed_on_but_what_was_signed_and_fits(
    engine: Engine, said: list[tuple[str, bytes]]
) -> None:
    tried["questions and answers"] += len(said)
    bridge = Bridge()
    asked: dict[str, tuple[int, str]] = {}
    answered: set[tuple[str, int]] = set()
    with Undone(engine) as session:
        for topic, payload in said:
            found = list(bridge.message(session, topic, payload, NOW))
            session.flush()
            bridge.ended(True)
            assert len(found) == 1
            (each,) = found
            if isinstance(each, Remark):
                assert each.text.isprintable()
                continue
            assert isinstance(each, Outgoing) and not each.retain
            if topic == ANSWER_TOPIC:
                given = signing.verified(bytes.fromhex(OPERATOR), topic, payload)
                assert given is not None
                name = given["charger"]
                out = signing.verified(bytes.fromhex(KEYS[name]), each.topic, each.payload)
                assert out is not None and each.topic == topics.verdict("home", name)
                assert (out["n"], out["token"]) == asked[name] and (name, out["n"]) not in answered
                answered.add((name, out["n"]))
                assert out["verdict"] in VERDICTS and out["role"] in ROLES
                assert type(out["group"]) is int and 0 <= out["group"] <= 65_535
            else:
                name = topic.split("/")[2]
                assert signing.verified(bytes.fromhex(KEYS[name]), topic, payload) is not None
                out = signing.verified(bytes.fromhex(OPERATOR), each.topic, each.payload)
                assert out is not None and out["charger"] == name
                assert name not in asked or out["n"] > asked[name][0]
                asked[name] = out["n"], out["token"]


def test_an_answer_counts_once(engine: Engine) -> None:
    bridge = Bridge()
    ask = {"n": 1, "token": "0a" * 7, "state": "awaiting", "t": NOW}
    answer = {"t": NOW, "n": 1, "charger": "left", "verdict": "Accepted"}
    said = [(ASK_TOPICS["left"], KEYS["left"], ask)]
    said += [(ANSWER_TOPIC, OPERATOR, {**answer, "v": v}) for v in (1, 1, 2)]
    with Undone(engine) as session:
        kinds = []
        for topic, key, body in said:
            tried["questions and answers"] += 1
            payload = signed_text(key, topic, inputs.text(body).encode())
            kinds += [type(each) for each in bridge.message(session, topic, payload, NOW)]
            bridge.ended(True)
        assert kinds == [Outgoing, Outgoing, Remark, Remark]


@fuzz("events", 25, st.lists(st.tuples(STATES, FIELDS), min_size=1, max_size=3))
def test_what_was_stored_moves_nobody_who_acts_on_it(
    engine: Engine, said: list[tuple[dict, dict]]
) -> None:
    duty = AppSessions()
    with Undone(engine) as session:
        for state, fields in said:
            text = inputs.text(fields).encode()
            payload = signed_text(KEYS["left"], TOPICS["left"], text)
            bodies = {"left": intake.state(inputs.text(state).encode())}
            here = intake.remember(session, bodies, NOW)
            new, _ = intake.store(session, [("left", TOPICS["left"], payload)], NOW)
            answers = [a for charger, body in here for a in duty.state(session, charger, body, NOW)]
            answers += [a for charger, row in new for a in duty.event(session, charger, row, NOW)]
            session.flush()
            assert all(isinstance(each, Remark | Order | Outgoing) for each in answers)
            duty.ended(True)


# --- what is shown of it --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("intake") / "home"
    init = ["init", "--installation", "home", "--broker", "mqtt://127.0.0.1:9", "--owner", "a@b.c"]
    assert main([*init, "--timezone", "Europe/Oslo", "--home", str(made)]) == 0
    assert main(["charger", "add", "left", "--home", str(made)]) == 0
    return made


@fuzz("states", 3, st.lists(st.tuples(STATES, FIELDS), min_size=1, max_size=6))
def test_whatever_was_stored_can_be_shown(home: Path, said: list[tuple[dict, dict]]) -> None:
    place = home.parent / "copy"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(home, place)
    with database.changing(place) as session:
        charger = session.scalars(select(Charger)).one()
        for state, fields in said:
            intake.remember(session, {"left": intake.state(inputs.text(state).encode())}, NOW)
            payload = signed_text(charger.key, TOPICS["left"], inputs.text(fields).encode())
            intake.store(session, [("left", TOPICS["left"], payload)], NOW)
    for words in (["status"], ["status", "left"], ["events"]):
        for more in ([], ["--json"]):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("TAPGATE_DEBUG", "1")
                assert main([*words, *more, "--home", str(place)]) == 0
