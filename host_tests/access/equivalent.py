"""The mutants that no rule catches, and why none has to: each does what the real one does.

That is not taken on trust: `make mutants` compares each with the real one at every step that can be
met, and fails for one that is caught after all, or neither caught nor listed.
But for the last of the table and `return None` in session.py, no step at all comes out differently.
"""

# Why; what the changes begin with; and the changes, each line's after its place in the table.
TABLE = (
    (
        "That is so wherever this line is looked up: the state, the kind of card or the event "
        "says so already, or no time that is over is met there (`time_out` is what being over "
        "is called). Where it is not so for another line's sake, that line does the same.",
        "if ",
        """
available plugged open: anonymous
available plugged -: not:open; not:running; not:held; not:anonymous; not:vacant
available owner_card,other_card -: vacant; may_start; not:running; not:held
available authorise -: vacant; not:running; not:held
preauthorised plugged -: held; not:in_time; not:running; not:anonymous; not:vacant
preauthorised own_card -: held; vacant; not:running; not:anonymous
preauthorised group_card,owner_card -: held; vacant; may_start; not:running; not:anonymous
preauthorised other_card -: held; vacant; may_start; not:running; not:anonymous
preauthorised authorise -: held; vacant; not:running; not:anonymous
preauthorised time_out -: held; vacant; not:in_time; not:running; not:anonymous
preauthorised stop,withdrawn -: held; vacant; not:running; not:anonymous
available resume -: not:running; not:held; not:vacant; not:may_start
faulted resume -: not:running; not:held; not:vacant; not:may_start
awaiting unplugged -: vacant; not:open; not:running; not:held; not:anonymous
awaiting opened -: open; anonymous; not:running; not:held; not:vacant
awaiting,finished owner_card,other_card -: may_start; not:running; not:held; not:vacant
awaiting,finished service_card -: not:running; not:held; not:vacant; not:may_start
awaiting,finished authorise -: not:running; not:held; not:vacant
available,awaiting unjudged_card -: not:running; not:held; not:may_start
finished unjudged_card -: not:running; not:held; not:vacant; not:may_start
checking unanswered -: not:running; not:held
checking plugged open: anonymous
checking unplugged,opened -: not:running; not:held
authorised asks -: running; not:vacant
charging rests -: running; not:vacant
authorised,charging unplugged -: running; vacant
authorised,charging own_card -: running; held; not:anonymous; not:vacant
authorised,charging group_card -: running; held; may_start; not:anonymous; not:vacant
authorised,charging owner_card -: running; may_start; not:vacant
authorised,charging service_card -: running; not:vacant
authorised,charging other_card -: running; may_start; not:anonymous; not:vacant
authorised,charging refused_card -: running; not:vacant; not:may_start
authorised,charging stop -: running; not:vacant
authorised,charging disabled -: running; not:vacant
finished unplugged -: vacant; not:running; not:held
available,awaiting enrol -: not:running; not:held
enrolling enrol -: not:running; not:held
enrolling new_card -: not:running; not:held
enrolling known_card -: not:running; not:held
enrolling unreadable -: not:running; not:held
enrolling random_card -: not:running; not:held; not:may_start
enrolling time_out -: not:in_time; not:running; not:held
enrolling cancel_enrol -: not:running; not:held
enrolling disabled -: not:running; not:held
enrolling fault -: not:running; not:held
available service_card -: vacant; not:running; not:held
available selftest_on -: vacant; not:running; not:held
preauthorised service_card -: held; vacant; not:running; not:anonymous
preauthorised selftest_on -: held; vacant; not:running; not:anonymous
service owner_card -: vacant; may_start; not:running; not:held
service service_card -: vacant; not:running; not:held
service plugged -: not:running; not:held; not:vacant
service time_out,selftest_off -: vacant; not:running; not:held
service stop -: vacant; not:running; not:held
service fault -: vacant; not:running; not:held
available disabled -: vacant; not:running; not:held
preauthorised disabled -: held; vacant; not:running; not:anonymous
awaiting,checking disabled -: not:running; not:held
finished disabled -: not:running; not:held; not:vacant
unavailable enabled -: not:running; not:held
faulted time_out -: not:in_time
faulted own_card running: -; held; not:anonymous; not:vacant
faulted group_card running: -; held; may_start; not:anonymous; not:vacant
* refused_card -: not:running; not:may_start
* unjudged_card -: not:may_start
* any_card -: not:running; not:held
* plugged,unplugged -: not:running; not:held
* asks,rests -: not:vacant
* enabled -: not:running; not:held
* disabled -: not:running; not:held
* withdrawn -: not:held
""",
    ),
    (
        "There the facts, or what the vehicle asks for, lead to the same state by themselves; a "
        "question that has just been asked leads on to `checking`.",
        "next ",
        """
available plugged open: (rest)
available plugged -: (rest)
preauthorised plugged in_time: (rest)
preauthorised own_card -: (rest)
preauthorised group_card,owner_card -: (stay)
preauthorised other_card -: (stay)
preauthorised authorise -: (stay)
preauthorised time_out -: (rest)
preauthorised stop,withdrawn -: (rest)
available resume -: (rest)
faulted resume -: faulted
awaiting unplugged -: (rest)
awaiting opened -: (rest)
awaiting,finished owner_card,other_card -: (rest)
awaiting,finished service_card may_start: (rest)
awaiting,finished service_card -: (rest)
awaiting,finished authorise -: (rest)
available,awaiting unjudged_card -: available; awaiting; finished; (rest)
finished unjudged_card -: available; awaiting; finished; (rest)
authorised asks -: (go); (rest)
charging rests -: (go); (rest)
authorised,charging unplugged -: (rest)
authorised,charging own_card -: (rest)
authorised,charging group_card -: (rest)
authorised,charging owner_card -: (rest)
authorised,charging service_card -: (rest)
authorised,charging other_card anonymous: (go); (rest)
authorised,charging other_card -: (go); (rest)
authorised,charging refused_card -: (go); (rest)
authorised,charging stop -: (rest)
authorised,charging withdrawn held: (rest)
authorised,charging disabled -: (rest)
finished unplugged -: (rest)
enrolling enrol -: (stay)
enrolling unreadable -: enrolling
enrolling disabled -: (rest)
enrolling fault -: (rest)
service fault -: service
available disabled -: (rest)
preauthorised disabled -: (rest)
awaiting,checking disabled -: (rest)
finished disabled -: (rest)
faulted cleared -: faulted
faulted unplugged running: faulted
faulted own_card running: faulted
faulted group_card running: faulted
faulted owner_card running: faulted
faulted service_card running: faulted
faulted other_card running: faulted
faulted refused_card running: faulted
faulted stop running: faulted
faulted withdrawn held: faulted
faulted disabled running: faulted
""",
    ),
    (
        "It has nothing left to do there: the stay has not begun or its vehicle is gone, the "
        "card holds already what it would take or its hold is dropped with the step, the limit "
        "is the same, the session has begun.",
        "also ",
        """
available plugged -: anew
available owner_card,other_card -: take; anew; limit:plug_in
available authorise -: take; anew; limit:plug_in
preauthorised plugged -: anew
preauthorised own_card -: anew
preauthorised group_card,owner_card -: take; anew; limit:plug_in
preauthorised other_card -: take; anew; limit:plug_in
preauthorised authorise -: take; anew; limit:plug_in
preauthorised time_out -: anew
preauthorised stop,withdrawn -: anew
awaiting unplugged -: anew
awaiting,finished owner_card,other_card -: take
awaiting,finished service_card may_start: take
awaiting,finished service_card -: take
awaiting,finished authorise -: take
available,awaiting unjudged_card -: anew
checking plugged open: start; anew
authorised,charging unplugged -: anew
authorised,charging group_card -: take
authorised,charging owner_card -: take
authorised,charging service_card -: take
finished unplugged -: anew
available,awaiting enrol -: anew
enrolling enrol -: anew
enrolling new_card -: anew
enrolling known_card -: anew
enrolling unreadable -: anew
enrolling random_card -: take; anew
enrolling time_out -: anew
enrolling cancel_enrol -: anew
enrolling disabled -: anew
enrolling fault -: anew
available service_card -: take; anew
available selftest_on -: anew
preauthorised service_card -: take; anew
preauthorised selftest_on -: anew
unavailable,faulted service_card vacant: take; anew
unavailable,faulted owner_card vacant: take; anew
unavailable,faulted selftest_on vacant: anew
service owner_card -: take; anew
service service_card -: take; anew
service plugged -: anew
service time_out,selftest_off -: anew
service stop -: anew
service fault -: anew
available disabled -: anew
preauthorised disabled -: anew
unavailable enabled -: anew
faulted unplugged running: anew
faulted group_card running: take
faulted owner_card running: take
faulted service_card running: take
* any_card -: take
* plugged,unplugged -: anew
* enabled -: anew
""",
    ),
    (
        "Neither depends on what the other does, and only one of them tells anybody.",
        "",
        """
available owner_card,other_card -: accepted before take; limit:plug_in before accepted
available authorise -: accepted before take; limit:plug_in before accepted
preauthorised group_card,owner_card -: accepted before take; limit:plug_in before accepted
preauthorised other_card -: accepted before take; limit:plug_in before accepted
preauthorised authorise -: accepted before take; limit:plug_in before accepted
awaiting,finished owner_card,other_card -: accepted before take
awaiting,finished service_card may_start: accepted before take
awaiting,finished authorise -: accepted before take
enrolling enrol -: limit:enrol before failed:replaced
available service_card -: limit:selftest before accepted
preauthorised service_card -: limit:selftest before accepted
unavailable,faulted service_card vacant: limit:selftest before accepted
unavailable,faulted owner_card vacant: limit:selftest before accepted
faulted cleared -: limit:fault_over before fault_cleared
""",
    ),
    (
        "One function under two names; which of the two is recorded, the event says.",
        "",
        """
enrolling fault -: fault_cleared for fault
service fault -: fault_cleared for fault
* fault -: fault_cleared for fault
* fewer_faults,cleared -: fault for fault_cleared
faulted cleared -: fault for fault_cleared
""",
    ),
    (
        "What a session's own card or one of its group does, every state with a holder says "
        "itself.",
        "",
        """
* any_card -: without own_card; without group_card
""",
    ),
    (
        "A session that runs has its vehicle: one line is for `vacant`, the other for `running`.",
        "",
        """
unavailable,faulted service_card vacant: below faulted service_card running
unavailable,faulted owner_card vacant: below faulted owner_card running
""",
    ),
    (
        "The light and a message of one step, in the other order: nothing happens in between.",
        "",
        """
awaiting,finished owner_card,other_card -: start before accepted
awaiting,finished service_card may_start: start before accepted
awaiting,finished authorise -: start before accepted
enrolling unreadable -: enrol_retry before unreadable
enrolling random_card -: failed:RandomNumber before refuse
enrolling fault -: fault before failed:fault
""",
    ),
)

# firmware/access/session.py: why; the line, by its function; and the changes.
SESSION = (
    (
        "Words of an error that cannot occur.",
        'step: raise ValueError("no line for {} in {}".format(kind, new[_STATE]))',
        ("'no line for {} in {}?' for 'no line for {} in {}'",),
    ),
    (
        "What comes to nothing would not forget a limit that is over either; the next tick does.",
        '_card: return "early_card"',
        ("return None for return 'early_card'",),
    ),
    (
        "What comes to nothing would not forget a limit that is over either; the next tick does.",
        '_shown: return "early_card"',
        ("return None for return 'early_card'",),
    ),
    (
        "Unplugged, no session runs any more, and a stay that has not begun begins anew as it is.",
        "_enter: if new[_PROGRESS] == OVER and not new[_CONNECTED]:",
        ("not new[_CONNECTED] for new[_PROGRESS] == OVER and (not new[_CONNECTED])",),
    ),
    (
        "A start does not look at the time.",
        "_rest: _start(new, None, 0, out, None)",
        ("1 for 0",),
    ),
    (
        "Of this tap the token and the role are told; that it is no `tap`, it says either way.",
        '_end: _refuse(new, ("ask", new[_ASKED][1], None, 0, None), now_ms, out, CONCURRENT_TX)',
        ("'ask?' for 'ask'", "1 for 0"),
    ),
    (
        "What is six days and five hours away to the millisecond lies behind as much as ahead.",
        "_passed: return ((now_ms - ticks) & _TICKS_MASK) < _TICKS_HALF",
        (
            "now_ms - ticks & _TICKS_MASK <= _TICKS_HALF"
            " for now_ms - ticks & _TICKS_MASK < _TICKS_HALF",
        ),
    ),
)

# firmware/access/verdict.py
VERDICT = (
    (
        "Who is not listed has no role.",
        "judge: if entry is None or role is None:",
        ("role is None for entry is None or role is None",),
    ),
    (
        "No minute comes before the first one.",
        "judge: if valid_from and now_min < valid_from:",
        ("now_min < valid_from for valid_from and now_min < valid_from",),
    ),
)
