"""The light's table: what it says, and that it can be told apart."""

from firmware.access import light
from host_tests.pure.check import raises

# As DESIGN section 4 has it.
DESIGNED = {
    "available": ("green", "steady and dim"),
    "preauthorised": ("green", "slow pulse"),
    "awaiting": ("yellow", "slow pulse"),
    "checking": ("yellow", "fast blink"),
    "authorised": ("blue", "slow pulse"),
    "charging": ("blue", "steady"),
    "finished": ("green", "steady and bright"),
    "enrolling": ("white", "slow pulse"),
    "service": ("magenta", "steady"),
    "unavailable": ("red", "wink every 5 s"),
    "faulted": ("red", "fast blink"),
}


def _flashes(pattern, over_ms):
    """How often the lamp lights up, for how long each time."""
    lit = []
    was_on = False
    for at_ms in range(0, over_ms, 10):
        on = light.brightness(light.PATTERNS[pattern], at_ms) > 0
        if on and not was_on:
            lit.append(0)
        if on:
            lit[-1] += 10
        was_on = on
    return lit


def _sequence(pattern):
    return tuple(light.brightness(light.PATTERNS[pattern], at_ms) for at_ms in range(0, 10_000, 50))


def test_every_state_has_the_light_that_is_designed_for_it():
    assert light.STATES == DESIGNED


def test_no_two_states_share_a_light():
    looks = {(colour, _sequence(pattern)) for colour, pattern in light.STATES.values()}
    assert len(looks) == len(light.STATES)


def test_no_two_states_differ_only_between_red_and_green():
    for first, (colour, pattern) in light.STATES.items():
        for second, (other_colour, other_pattern) in light.STATES.items():
            if {colour, other_colour} == {"red", "green"}:
                assert _sequence(pattern) != _sequence(other_pattern), (first, second)


def test_accepted_and_refused_differ_by_more_than_green_and_red():
    accepted, refused = light.OVERLAYS["accepted"], light.OVERLAYS["refused"]
    short, long = _flashes(accepted[1], 2_000), _flashes(refused[1], 2_000)
    assert min(long) >= 3 * max(short)


def test_every_overlay_flashes_as_designed_for_two_seconds():
    assert light.OVERLAY_MS == 2_000
    flashes = {}
    for name, (colour, pattern) in light.OVERLAYS.items():
        flashes[name] = (colour, len(_flashes(pattern, light.OVERLAY_MS)))
        assert light.brightness(light.PATTERNS[pattern], 0) == 100, "an overlay shows at once"
        assert light.brightness(light.PATTERNS[pattern], light.OVERLAY_MS - 1) == 0
    assert flashes == {
        "accepted": ("green", 2),
        "refused": ("red", 2),
        "expired": ("red", 4),
        "unreadable": ("yellow", 1),
        "enrolled": ("white", 2),
    }


def test_short_flashes_are_short_and_long_ones_long():
    for colour, pattern in light.OVERLAYS.values():
        lengths = _flashes(pattern, light.OVERLAY_MS)
        if "short" in pattern:
            assert max(lengths) <= 250, colour
        if "long" in pattern:
            assert min(lengths) >= 500, colour


def test_a_slow_pulse_never_goes_below_20_percent():
    levels = [light.brightness(light.PATTERNS["slow pulse"], at_ms) for at_ms in range(0, 4_000, 7)]
    assert min(levels) >= 20
    assert max(levels) == 100
    assert light.brightness(light.PATTERNS["slow pulse"], 1_000) == 20


def test_a_step_ends_where_the_next_begins():
    assert light.brightness(light.PATTERNS["fast blink"], 199) == 100
    assert light.brightness(light.PATTERNS["fast blink"], 200) == 0
    assert light.brightness(light.PATTERNS["fast blink"], 400) == 100


def test_dim_and_bright_are_far_apart():
    assert (
        0
        < light.brightness(light.PATTERNS["steady and dim"], 0) * 4
        < light.brightness(light.PATTERNS["steady and bright"], 0)
    )


def test_an_unavailable_charger_winks_every_five_seconds():
    assert len(_flashes("wink every 5 s", 10_000)) == 2
    assert sum(_flashes("wink every 5 s", 5_000)) <= 200


def test_nothing_flashes_more_than_three_times_a_second():
    for pattern in light.PATTERNS:
        for begin in range(0, 5_000, 50):
            edges = 0
            for at_ms in range(begin, begin + 1_000, 10):
                before, after = (
                    light.brightness(light.PATTERNS[pattern], at_ms),
                    light.brightness(light.PATTERNS[pattern], at_ms + 10),
                )
                edges += before == 0 and after > 0
            assert edges <= 3, pattern


def test_the_steps_of_every_pattern_fill_its_period():
    for pattern, (period_ms, steps) in light.PATTERNS.items():
        assert sum(step[0] for step in steps) == period_ms, pattern
    for name, (_, period_ms, steps) in light.STANDING.items():
        assert sum(step[0] for step in steps) == period_ms, name


def test_every_pattern_and_colour_in_use_is_defined_and_no_other():
    looks = list(light.STATES.values()) + list(light.OVERLAYS.values())
    assert {pattern for _, pattern in looks} == set(light.PATTERNS)
    colours = {colour for colour, _ in looks}
    for _, _, steps in light.STANDING.values():
        colours.update(colour for _, colour in steps if colour is not None)
    assert colours == set(light.COLOURS)


def test_offline_is_a_white_wink_over_every_state_every_five_seconds():
    states, period_ms, _ = light.STANDING["offline"]
    assert set(states) == set(light.STATES)
    assert period_ms == 5_000
    shown = [
        light.standing_colour(light.STANDING["offline"], at_ms) for at_ms in range(0, 5_000, 10)
    ]
    assert set(shown) == {None, "white"}
    assert 5 <= shown.count("white") <= 20


def test_the_offline_wink_never_falls_on_the_wink_of_an_unavailable_charger():
    for at_ms in range(0, 5_000, 10):
        white = light.standing_colour(light.STANDING["offline"], at_ms) == "white"
        assert not (white and light.brightness(light.PATTERNS["wink every 5 s"], at_ms))


def test_a_silent_reader_shows_red_and_yellow_in_turn_where_a_card_would_be_needed():
    states, _, _ = light.STANDING["reader"]
    shown = [
        light.standing_colour(light.STANDING["reader"], at_ms) for at_ms in range(0, 2_000, 500)
    ]
    assert shown == ["red", "yellow", "red", "yellow"]
    assert set(states) == {"available", "preauthorised", "awaiting", "finished", "enrolling"}, (
        "a session that runs keeps its light, a fault does, and so does a card that is being judged"
    )


def test_expired_cards_and_old_lists_flash_short_and_every_other_refusal_long():
    assert light.overlay_for("Accepted") == "accepted"
    for verdict in ("Expired", "ListTooOld"):
        assert light.overlay_for(verdict) == "expired"
    for verdict in (
        "Blocked",
        "ConcurrentTx",
        "Invalid",
        "NotAtThisLocation",
        "NotAtThisTime",
        "Unknown",
        "ClockUnknown",
        "RandomNumber",
        "a word not heard of before",
    ):
        assert light.overlay_for(verdict) == "refused"


def test_a_pattern_that_does_not_fill_its_period_is_told():
    torn = (1_234, ((400, 100, 100),))
    assert "1234" in str(raises(ValueError, light.brightness, torn, 500))
    torn = ((), 1_234, ((400, "white"),))
    assert "1234" in str(raises(ValueError, light.standing_colour, torn, 500))
