"""Objects of the allow-list, and the list on flash: form is checked against a second reading of
DESIGN section 6, and whatever bytes the flash or the broker bring, nobody gets in who is not on
the list."""

import hashlib
import hmac
import struct
from typing import Any

from hypothesis import strategies as st

from firmware.allowlist import index, ref, shard
from firmware.allowlist.errors import ListError, ObjectError
from firmware.allowlist.store import Store
from firmware.allowlist.sync import Sync
from firmware.link.messages import sign, verify
from host_tests.fuzz import inputs
from host_tests.fuzz.trying import fuzz, tried
from host_tests.pure.flash_model import Files, Flash
from host_tests.pure.lists import List, token

KEY = b"k" * 32
TOPIC = "tapgate/home/left/allowlist"

TOKENS = st.one_of(
    st.binary(min_size=7, max_size=7),
    st.integers(0, 9).map(token),
    st.integers(0, 300).map(lambda n: bytes([n & 0xFF]) * 3 + n.to_bytes(4, "big")),
)
REST = st.one_of(st.binary(min_size=9, max_size=9), st.just(bytes(9)))
PLACES = st.tuples(st.integers(0, 9), st.integers(0, 511)).map(
    lambda pair: (pair[0], pair[1] & (1 << pair[0]) - 1)
)


def placed(found: bytes, bits: int, place: int) -> bytes:
    """The token with the top bits of that shard."""
    number = int.from_bytes(found, "big") & (1 << 56 - bits) - 1 | place << 56 - bits
    return number.to_bytes(7, "big")


def a_shard(place: tuple[int, int], entries: dict[bytes, bytes], times: int, slip: str) -> bytes:
    found = {placed(key, *place): value for key, value in entries.items()}
    for n in range(times):  # up to more than fit
        found[placed(b"\xff\xff" + n.to_bytes(5, "big"), *place)] = bytes(9)
    lines = sorted(key + value for key, value in found.items())
    if slip == "twice" and lines:
        lines.append(lines[-1])
    elif slip == "order":
        lines.reverse()
    elif slip in ("first", "last"):
        lines.insert(0 if slip == "first" else len(lines), slip[:1].encode() * 16)
        lines.sort()
    elif slip == "beyond":
        lines.append(b"\xff" * 7 + bytes(9))
    return b"TGS1" + struct.pack(">HH", len(lines), slip == "reserved") + b"".join(lines)


SLIPS = ("", "", "", "twice", "order", "first", "last", "beyond", "reserved")
SHARDS = st.tuples(PLACES, st.dictionaries(TOKENS, REST, max_size=6)).flatmap(
    lambda given: st.tuples(
        st.just(given[0]),
        st.one_of(
            a_shard_with(given, st.sampled_from(SLIPS)),
            a_shard_with(given, st.sampled_from(SLIPS)),
            inputs.damaged(a_shard_with(given, st.just(""))),
        ),
    )
)


def a_shard_with(given: tuple, slips: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    times = st.sampled_from((0, 0, 0, 0, 249, 255, 256))
    return st.builds(a_shard, st.just(given[0]), st.just(given[1]), times, slips)


def is_shard(data: bytes, bits: int, place: int) -> bool:
    if not 8 <= len(data) <= 4_096 or data[:4] != b"TGS1" or data[6:8] != b"\0\0":
        return False
    if len(data) != 8 + 16 * int.from_bytes(data[4:6], "big"):
        return False
    tokens = [data[at : at + 7] for at in range(8, len(data), 16)]
    right = all(int.from_bytes(each, "big") >> (56 - bits) == place for each in tokens)
    return right and tokens == sorted(set(tokens))


@fuzz("shards", 150, SHARDS, TOKENS)
def test_a_shard_is_taken_if_it_is_one_and_says_what_its_bytes_say(
    drawn: tuple[tuple[int, int], bytes], stranger: bytes
) -> None:
    (bits, place), data = drawn
    for kind in (bytes, bytearray, memoryview):
        try:
            count = shard.check(kind(data), place, bits)
        except ObjectError:
            assert not is_shard(data, bits, place)
            continue
        assert is_shard(data, bits, place) and count == (len(data) - 8) // 16
        entries = {}
        for at in range(8, len(data), 16):
            group, first, last, flags = struct.unpack(">H3s3sB", data[at + 7 : at + 16])
            entries[data[at : at + 7]] = (
                group,
                int.from_bytes(first, "big"),
                int.from_bytes(last, "big"),
                flags,
            )
        for each in (
            *list(entries)[:20],
            *list(entries)[-3:],
            stranger,
            placed(stranger, bits, place),
        ):
            assert shard.find(kind(data), each) == entries.get(each)


def an_index(bits: int, cards: int, digests: bytes, size: int, reserved: int) -> bytes:
    return (
        b"TGI1"
        + bytes([bits])
        + reserved.to_bytes(3, "big")
        + struct.pack(">I", cards)
        + digests * size
    )


INDEXES = inputs.some_damaged(
    st.one_of(
        st.integers(0, 10).flatmap(
            lambda bits: st.builds(
                an_index,
                st.just(bits),
                st.one_of(st.integers(0, 300), st.sampled_from((255 << bits, (255 << bits) + 1))),
                st.binary(min_size=16, max_size=16),
                st.just(1 << bits),
                st.sampled_from((0, 0, 0, 1, 1 << 8, 1 << 16)),
            )
        ),
        st.binary(max_size=40),
    )
)


@fuzz("indexes", 100, INDEXES)
def test_an_index_is_taken_if_it_is_one(data: bytes) -> None:
    right = (
        len(data) >= 12
        and data[:4] == b"TGI1"
        and data[4] <= 9
        and data[5:8] == bytes(3)
        and len(data) == 12 + (16 << data[4])
        and int.from_bytes(data[8:12], "big") <= 255 << data[4]
    )
    try:
        assert index.check(memoryview(data)) == (data[4], int.from_bytes(data[8:12], "big"))
        assert right and index.header(*index.check(data)) == data[:12]
        assert index.bits_of(len(data) - 12) == data[4]
    except ObjectError:
        assert not right


GOOD_REFS = st.fixed_dictionaries(
    {name: st.integers(0, 1 << 32) for name in ("v", "t", "cards", "max_age_s")}
    | {"index": st.text("0123456789abcdef", min_size=32, max_size=32)}
)
REF_BODIES = st.one_of(
    GOOD_REFS,
    st.builds(
        lambda good, name, value: {**good, name: value},
        GOOD_REFS,
        st.sampled_from(("v", "t", "cards", "max_age_s", "index", "more")),
        st.one_of(inputs.WRONG, st.text("0123456789abcdefA", min_size=31, max_size=33)),
    ),
    st.builds(
        lambda good, name: {key: good[key] for key in good if key != name},
        GOOD_REFS,
        st.sampled_from(("v", "t", "cards", "max_age_s", "index")),
    ),
)


@fuzz("refs", 100, REF_BODIES)
def test_a_ref_is_taken_if_it_is_one(body: dict) -> None:
    numbers = [body.get(name) for name in ("v", "cards", "max_age_s", "t")]
    digest = body.get("index")
    right = all(type(each) is int and each >= 0 for each in numbers) and (
        type(digest) is str and len(digest) == 32 and not digest.strip("0123456789abcdef")
    )
    try:
        found = ref.check(body)
        assert right
        assert found == (body["v"], digest, body["cards"], body["max_age_s"], body["t"])
    except ListError as error:
        assert not right and str(error).startswith("ref's ")


# --- on flash -------------------------------------------------------------------------------------

CARDS = {token(n): (n, n, 2 * n, n & 0xFF) for n in range(40)}
OLD = List({key: CARDS[key] for key in list(CARDS)[:30]}, 2)
NEW = List({key: CARDS[key] if key[0] & 1 else (9, 0, 0, 1) for key in list(CARDS)[5:]}, 3)
KNOWN = {one.ref(1)[0]["index"]: one for one in (OLD, NEW)}


def signed(one: List, version: int) -> tuple[dict, bytes]:
    body = one.ref(version)[0]
    return body, sign(KEY, TOPIC, body)


def checked(raw: bytes) -> dict:
    return verify(KEY, TOPIC, raw)


class Listing:
    """A store in step, or not, with what a broker brings."""

    def __init__(self, flash: Flash):
        self.flash = flash
        self.files = Files(flash)
        self.store = Store("list", checked, self.files)
        self.wrong = self.store.load()
        self.asked: list[str] = []
        self.said: list[str] = []
        self.now_ms = 0
        self.sync = Sync(
            self.store,
            self.ask,
            lambda *_: None,
            lambda why, _: self.said.append(why),
            self.release,
        )

    def ask(self, digest: str) -> int:
        self.asked.append(digest)
        assert len(self.asked) <= 4
        return 1

    def release(self, digest: str) -> None:
        if digest in self.asked:
            self.asked.remove(digest)

    def turn(self, objects: dict[str, bytes]) -> None:
        self.sync.tick(self.now_ms)
        self.now_ms += 50
        for digest in list(self.asked):
            if digest in objects:
                self.sync.object(digest, objects[digest])

    def settle(self, objects: dict[str, bytes], turns: int = 150) -> None:
        while turns and (turns > 140 or self.sync.busy):
            self.turn(objects)
            turns -= 1

    def lets_in(self) -> dict[bytes, Any]:
        everybody = {each: self.store.lookup(each) for each in (*CARDS, token(99), bytes(7))}
        return {each: found for each, found in everybody.items() if found is not None}

    def is_honest(self) -> bool:
        """Nobody is let in but as the list says that is in force; True if all of them are."""
        applied = self.store.applied
        cards = KNOWN[applied.index].cards if applied else {}
        found = self.lets_in()
        for each, entry in found.items():
            assert cards[each] == entry
        return found == cards


def in_step() -> Flash:
    found = Listing(Flash())
    found.sync.offer(*signed(OLD, 1))
    found.settle(OLD.objects)
    assert found.is_honest() and found.store.applied
    found.store.close()
    return found.flash


FILLED = {path: content[0] for path, content in in_step().contents.items()}


@st.composite
def damaged_flash(draw: st.DrawFn) -> dict[str, bytes]:
    files = dict(FILLED)
    for path in draw(st.lists(st.sampled_from(sorted(FILLED)), min_size=1, max_size=3)):
        files[path] = draw(inputs.damaged(st.just(files[path])))
    if draw(st.integers(0, 4)) == 0:
        path = draw(st.sampled_from(sorted(FILLED)))
        files[draw(st.sampled_from((path, "list/i0", "list/i1", "list/00", "list/ref.new")))] = (
            draw(st.one_of(st.just(files[path]), st.binary(max_size=60)))
        )
    if draw(st.integers(0, 4)) == 0:
        files.pop(draw(st.sampled_from(sorted(FILLED))), None)
    return files


def of_files(files: dict[str, bytes]) -> Flash:
    flash = Flash()
    flash.contents = {path: [content] for path, content in files.items()}
    return flash


@fuzz("the list on flash", 50, damaged_flash(), st.booleans())
def test_damage_lets_nobody_in_and_is_mended(files: dict[str, bytes], first: bool) -> None:
    found = Listing(of_files(files))
    assert found.wrong is None or found.store.applied is None
    whole = found.is_honest()
    if first and whole:
        found.sync.offer(*signed(OLD, 1))
    else:
        found.sync.offer(*signed(NEW, 2))
    found.settle(OLD.objects | NEW.objects)
    for n in range(60):  # what a look-up has found damaged is fetched again
        found.turn(OLD.objects | NEW.objects)
        assert n % 12 or found.is_honest() in (True, False)
    assert found.is_honest() and found.store.applied, found.said
    found.store.close()
    again = Listing(found.flash)
    assert again.is_honest() and again.store.applied and again.wrong is None


def test_no_byte_put_wrong_gives_anybody_another_entry() -> None:
    for path, content in FILLED.items():
        for at in range(len(content)):
            tried["the list on flash"] += 1
            wrong = content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]
            Listing(of_files({**FILLED, path: wrong})).is_honest()


def test_an_object_that_is_not_what_its_name_says_is_not_taken() -> None:
    found = Listing(of_files(FILLED))
    honest = OLD.objects | NEW.objects
    found.sync.offer(*signed(NEW, 2))
    for _ in range(20):  # each shard comes wrong first: well formed, but with other flags
        for digest in list(found.asked):
            tried["objects from the broker"] += 1
            data = honest[digest]
            is_shard = data.startswith(b"TGS1")
            found.sync.object(digest, data[:-1] + bytes([data[-1] ^ is_shard]))
        found.turn({})
        assert found.store.applied and found.store.applied.version == 1
    found.sync.resume()
    found.settle(honest)
    assert found.is_honest() and found.store.applied and found.store.applied.version == 2
    assert "object" in found.said


@st.composite
def brought(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """What a broker that lies may do, one after the other."""
    steps: list[tuple[str, Any]] = []
    objects = sorted((OLD.objects | NEW.objects).items())
    for _ in range(draw(st.integers(1, 10))):
        what = draw(st.sampled_from(("ref", "objects", "wrong", "any", "lost", "turn", "resume")))
        if what == "ref":
            steps.append((what, draw(st.tuples(st.sampled_from((OLD, NEW)), st.integers(1, 4)))))
        elif what == "wrong":
            steps.append(
                (what, draw(inputs.some_damaged(st.sampled_from(objects).map(lambda o: o[1]))))
            )
        elif what == "any":
            steps.append((what, (draw(st.text(max_size=3)), draw(st.binary(max_size=9)))))
        else:
            steps.append((what, draw(st.integers(1, 30))))
    return steps


@fuzz("objects from the broker", 60, brought())
def test_whatever_a_broker_brings_the_list_is_the_old_or_the_new_one(
    steps: list[tuple[str, Any]],
) -> None:
    found = Listing(of_files(FILLED))
    honest = OLD.objects | NEW.objects
    version = 1
    for what, given in steps:
        if what == "ref":
            found.sync.offer(*signed(*given))
        elif what == "objects":
            for _ in range(given):
                found.turn(honest)
        elif what == "wrong":
            for digest in list(found.asked):
                found.sync.object(digest, given)
        elif what == "any":
            found.sync.object(*given)
        elif what == "lost":
            for digest in list(found.asked):
                found.sync.lost(digest, "too long")
        elif what == "resume":
            found.asked.clear()  # a new link: nobody asks for anything
            found.sync.resume()
        else:
            for _ in range(given):
                found.turn({})
        assert found.is_honest()
        assert found.store.applied and found.store.applied.version >= version
        version = found.store.applied.version
    # With an honest broker it comes right at once, or after its pause.
    found.sync.offer(*signed(NEW, 9))
    found.asked.clear()
    found.sync.resume()
    for _ in range(300):
        found.turn(honest)
    applied = found.store.applied
    assert found.is_honest() and applied and applied.version == 9, found.said


def test_a_signed_list_of_too_many_cards_is_nobody() -> None:
    """As the file `ref`; the same happens in `Sync.tick` beside an index left over on the flash."""
    body = {"v": 5, "t": 0, "index": "0" * 32, "cards": 1 << 32, "max_age_s": 0}
    raw = sign(KEY, TOPIC, body)
    record = b"TGR2\0\0" + len(raw).to_bytes(2, "big") + bytes(4) + raw + bytes(32)
    flash = of_files({"list/i0": bytes(16), "list/ref": record + b"\xff\0\0"})
    found = Listing(flash)
    assert found.wrong and found.store.applied is None


def test_signatures_here_are_real() -> None:
    raw = signed(OLD, 1)[1]
    digest = hmac.new(KEY, TOPIC.encode() + b"\n" + raw[65:], hashlib.sha256).hexdigest()
    assert raw[:64] == digest.encode()
