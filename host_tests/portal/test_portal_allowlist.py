"""Objects byte by byte as DESIGN section 6 lays them out."""

import hashlib
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.portal import allowlist
from tools.portal.allowlist import EPOCH_S, Card, Permission
from tools.portal.refusal import Refusal

ALWAYS = Permission("user", None, None, 0)
TOKEN = bytes.fromhex("a1a2a3a4a5a6a7")


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def card(token: bytes = TOKEN, person: int = 1, group: int = 0, blocked: bool = False) -> Card:
    return Card(token, person, group, blocked)


def entries(built: allowlist.AllowList) -> list[bytes]:
    """Every entry of a list, read by the rules of the design."""
    index = built.objects[built.digest]
    bits, found = index[4], []
    for shard in range(1 << bits):
        name = index[12 + 16 * shard : 28 + 16 * shard].hex()
        content = built.objects[name]
        assert content[:4] == b"TGS1" and content[6:8] == b"\0\0"
        count = int.from_bytes(content[4:6], "big")
        assert len(content) == 8 + 16 * count <= 4_096
        here = [content[8 + 16 * i : 24 + 16 * i] for i in range(count)]
        assert all(int.from_bytes(each[:7], "big") >> (56 - bits) == shard for each in here)
        found += here
    assert [each[:7] for each in found] == sorted({each[:7] for each in found})
    return found


def build(charger: int | None, cards, permissions) -> allowlist.AllowList:
    """One charger's list."""
    return allowlist.Lists(cards, permissions).of(charger)


def entry(card: Card, permission: Permission) -> bytes:
    """The 16 bytes of one card."""
    [found] = entries(build(None, [card], {(card.person, None): permission}))
    return found


def test_an_entry_holds_token_group_bounds_and_flags():
    packed = entry(
        card(group=0x1234, blocked=True),
        Permission("service", EPOCH_S + 60 * 0x010203, EPOCH_S + 60 * 0x0A0B0C, 9),
    )
    # Flags: role 2, blocked 4, schedule 9 << 3.
    assert packed.hex() == "a1a2a3a4a5a6a7" + "1234" + "010203" + "0a0b0c" + "4e"


@pytest.mark.parametrize(("role", "flags"), [("owner", 0), ("user", 1), ("service", 2)])
def test_the_role_is_in_the_two_lowest_bits(role, flags):
    assert entry(card(), Permission(role, None, None, 0))[15] == flags


@pytest.mark.parametrize(
    ("valid_from", "valid_until", "minutes"),
    [
        (None, None, (0, 0)),
        (EPOCH_S + 61, EPOCH_S + 179, (2, 2)),  # never earlier, never longer
        (EPOCH_S + 60, EPOCH_S + 120, (1, 2)),
        (EPOCH_S - 1, None, (0, 0)),
        (None, EPOCH_S - 1, (0, 1)),  # ended before the count begins: 0 would mean no end
        (None, EPOCH_S + 30, (0, 1)),
        (None, EPOCH_S + 60 * 0xFFFFFF, (0, 0xFFFFFF)),
    ],
)
def test_bounds_are_minutes_since_2024_that_give_nothing_away(valid_from, valid_until, minutes):
    packed = entry(card(), Permission("user", valid_from, valid_until, 0))
    assert (int.from_bytes(packed[9:12], "big"), int.from_bytes(packed[12:15], "big")) == minutes


def test_a_list_of_two_cards_is_one_shard_and_its_index():
    low, high = bytes.fromhex("00000000000001"), bytes.fromhex("ff000000000000")
    built = build(None, [card(high), card(low)], {(1, None): ALWAYS})
    tail = bytes.fromhex("000000000000000001")
    shard = b"TGS1\x00\x02\x00\x00" + low + tail + high + tail
    index = b"TGI1\x00\x00\x00\x00\x00\x00\x00\x02" + hashlib.sha256(shard).digest()[:16]
    assert built == (digest(index), 2, {digest(shard): shard, digest(index): index})


def test_nobody_is_an_empty_shard():
    built = build(None, [card()], {})
    index = b"TGI1" + bytes(8) + hashlib.sha256(b"TGS1\0\0\0\0").digest()[:16]
    assert built.cards == 0
    assert built.objects == {digest(b"TGS1\0\0\0\0"): b"TGS1\0\0\0\0", digest(index): index}


def test_255_cards_are_one_shard_and_256_are_two():
    def spread(count: int) -> allowlist.AllowList:
        step = (1 << 56) // count
        return allowlist.encode((i * step).to_bytes(7, "big") + bytes(9) for i in range(count))

    one, two = spread(255), spread(256)
    assert len(one.objects) == 2 and one.objects[one.digest][4] == 0
    assert max(len(content) for content in one.objects.values()) == 8 + 16 * 255
    assert len(two.objects) == 3 and two.objects[two.digest][4] == 1
    assert len(entries(two)) == 256


def test_crowding_that_no_number_of_shards_parts_ends_in_a_refusal():
    with pytest.raises(Refusal, match="256 cards"):
        allowlist.encode(i.to_bytes(7, "big") + bytes(9) for i in range(256))


def test_a_list_too_large_for_a_charger_is_refused_in_words():
    step = (1 << 56) // 140_000
    many = ((i * step).to_bytes(7, "big") + bytes(9) for i in range(140_000))
    with pytest.raises(Refusal, match="140000 cards are more than one charger's list can hold"):
        allowlist.encode(many)


def test_50_000_cards_of_which_256_crowd_into_one_shard_still_make_a_list():
    step = (1 << 56) // 49_936
    even = {(i * step).to_bytes(7, "big") for i in range(49_936)}  # 195 or 196 a shard of 256
    crowd = {((7 << 48) + 1 + i * (1 << 47) // 64).to_bytes(7, "big") for i in range(64)}
    built = allowlist.encode(token + bytes(9) for token in even | crowd)
    index = built.objects[built.digest]
    assert (built.cards, index[4], len(index)) == (50_000, 9, allowlist.OBJECT_LIMIT_BYTES)


def test_one_changed_card_changes_one_shard_and_the_index():
    cards = [card((i * (1 << 56) // 1_000).to_bytes(7, "big"), person=i) for i in range(1_000)]
    permissions: dict[tuple[int, int | None], Permission]
    permissions = {(i, None): ALWAYS for i in range(1_000)}
    before = build(None, cards, permissions)
    cards[500] = cards[500]._replace(blocked=True)
    after = build(None, cards, permissions)
    assert len(after.objects.keys() - before.objects.keys()) == 2


@pytest.mark.parametrize(
    ("site", "charger", "role"),
    [
        (None, None, None),
        ("user", None, "user"),
        ("user", "owner", "owner"),  # more
        ("owner", "user", "user"),  # less
        ("user", "none", None),  # none
        (None, "service", "service"),
    ],
)
def test_a_permission_on_the_charger_replaces_the_one_on_the_installation(site, charger, role):
    permissions = {}
    if site:
        permissions[1, None] = Permission(site, None, None, 0)
    if charger:
        permissions[1, 7] = Permission(charger, None, None, 0)
    here = entries(build(7, [card()], permissions))
    elsewhere = entries(build(8, [card()], permissions))
    number = {"owner": 0, "user": 1, "service": 2}
    assert [each[15] & 3 for each in here] == ([number[role]] if role else [])
    assert [each[15] & 3 for each in elsewhere] == ([number[site]] if site else [])


def test_an_expired_permission_on_the_charger_is_not_saved_by_the_wider_one():
    ended = Permission("user", None, EPOCH_S + 600, 0)
    built = build(7, [card()], {(1, None): ALWAYS, (1, 7): ended})
    assert int.from_bytes(entries(built)[0][12:15], "big") == 10


def test_blocked_and_expired_cards_stay_listed_so_that_the_charger_can_say_why():
    ended = Permission("user", None, EPOCH_S, 0)
    built = build(
        None,
        [card(bytes(7), 1, blocked=True), card(TOKEN, 2)],
        {(1, None): ALWAYS, (2, None): ended},
    )
    first, second = entries(built)
    assert first[15] == 0b101
    assert second[12:15] == b"\0\0\1"


def test_the_charger_takes_what_is_built_here():
    from firmware.allowlist import index, shard

    cards = [card(hashlib.sha256(i.to_bytes(2)).digest()[:7], i) for i in range(3_000)]
    permissions: dict[tuple[int, int | None], Permission]
    permissions = {(i, None): ALWAYS for i in range(3_000)}
    built = build(None, cards, permissions)
    whole = built.objects[built.digest]
    bits, count = index.check(whole)
    assert (bits, count) == (4, 3_000)
    shards = [built.objects[whole[at : at + 16].hex()] for at in range(12, len(whole), 16)]
    assert sum(shard.check(each, i, bits) for i, each in enumerate(shards)) == 3_000


@given(
    st.lists(st.binary(min_size=7, max_size=7), unique=True, max_size=600),
    st.randoms(use_true_random=False),
)
def test_every_card_is_listed_once_whatever_the_order(tokens, random):
    built = build(None, [card(each) for each in tokens], {(1, None): ALWAYS})
    random.shuffle(tokens)
    again = build(None, [card(each) for each in tokens], {(1, None): ALWAYS})
    assert built == again
    assert [each[:7] for each in entries(built)] == sorted(tokens)
    assert all(digest(content) == name for name, content in built.objects.items())
    index = built.objects[built.digest]
    if index[4]:  # with one bit less some shard would be too large
        fewer = [int.from_bytes(each, "big") >> (57 - index[4]) for each in tokens]
        assert max(map(fewer.count, fewer)) > 255


def one_by_one(charger, cards, permissions) -> allowlist.AllowList:
    """A charger's list, card by card, as the design says it."""
    found = []
    for each in cards:
        permission = permissions.get((each.person, charger), permissions.get((each.person, None)))
        if permission and permission.role != "none":
            found.append(entry(each, permission))
    return allowlist.encode(found)


@given(st.integers(0, 1 << 64), st.sampled_from([0, 1, 40, 255, 256, 600, 1_100]))
@settings(max_examples=25, deadline=None)
def test_lists_that_differ_by_some_people_are_as_if_built_one_by_one(seed, count):
    random = Random(seed)  # tokens that a search for the simplest case cannot make equal
    people = max(count // 2, 1)
    cards = [
        Card(
            random.randbytes(7),
            random.randrange(people),
            random.randrange(3),
            random.random() < 0.1,
        )
        for _ in range(count)
    ]
    permissions: dict[tuple[int, int | None], Permission] = {
        (person, None): Permission(random.choice(["owner", "user"]), None, None, person % 32)
        for person in range(people)
        if random.random() < 0.8
    }
    for charger in (1, 2, 3):
        for person in random.sample(range(people), random.choice([0, 1, people // 3, people])):
            role = random.choice(["owner", "user", "service", "none"])
            permissions[person, charger] = Permission(role, None, EPOCH_S + 60 * person, 0)
    lists = allowlist.Lists(cards, permissions)
    for charger in (None, 1, 2, 3, 4):
        assert lists.of(charger) == one_by_one(charger, cards, permissions)


@pytest.mark.parametrize(("count", "changed"), [(255, 1), (255, -1), (510, 3), (0, -300)])
def test_one_charger_may_need_more_shards_than_the_others_or_fewer(count, changed):
    """At the limit: people let in, or kept out, at that charger alone."""
    total = count + abs(changed)
    step = (1 << 56) // total
    cards = [card((i * step).to_bytes(7, "big"), i) for i in range(total)]
    everywhere = count if changed > 0 else total
    permissions: dict[tuple[int, int | None], Permission]
    permissions = {(i, None): ALWAYS for i in range(everywhere)}
    role = "user" if changed > 0 else "none"
    permissions |= {(i, 7): Permission(role, None, None, 0) for i in range(count, total)}
    lists = allowlist.Lists(cards, permissions)
    assert lists.of(7) == one_by_one(7, cards, permissions)
    assert lists.of(7).cards - lists.of(8).cards == changed
