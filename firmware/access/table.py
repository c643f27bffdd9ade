"""The table of the session: what happens in which state, and where that leads.

One line per (state, event, condition); where several fit, the first. "*" is every state, for what
no line of the state itself takes. The next state may also be (stay), the same one; (go), `charging`
if the vehicle asks for energy, else `authorised`; (rest), where the facts lead by themselves.

Cards, by what they are to the session: `own` the one that started it, `group` of the same group,
`owner`, `service`, `other` of anyone else approved, `any` of these; `refused` has no right;
`early` comes within SETTLE_MS of a tap that did something, or is the very card in question;
`unjudged` is for the operator to judge; `busy` comes while another is in question; `new`, `known`
and `random` while enrolling.

In `checking` everything waits for the operator. An answer that comes there is a tap in the state
that the facts lead to. In every other state a question runs beside what goes on, and its answer is
a tap in the state that it finds. Where that would be `available`, `awaiting` or `finished`, the
charger is `checking` until the answer comes. A session takes the question about it along.

A text for people. `condensed` makes of it what the board looks lines up in; whoever prepares a
board does that beforehand (tools/mpy.py), so that it lies in the ROM.
"""

TABLE = """
# state              event                  condition  next           effects

# No vehicle.
available            plugged                open       (go)           start
available            plugged                -          awaiting       -
available            owner_card,other_card  -          preauthorised  take,accepted,limit:plug_in
available            authorise              -          preauthorised  take,accepted,limit:plug_in
preauthorised        plugged                in_time    (go)           start
preauthorised        plugged                -          (rest)         -
preauthorised        own_card               -          available      accepted
preauthorised        group_card,owner_card  -          preauthorised  take,accepted,limit:plug_in
preauthorised        other_card             -          preauthorised  take,accepted,limit:plug_in
preauthorised        authorise              -          preauthorised  take,accepted,limit:plug_in
preauthorised        time_out               -          available      -
preauthorised        stop,withdrawn         -          available      -

# A session that the board's own stop cut short, and its vehicle.
available            resume                 -          (go)           resume
faulted              resume                 -          (stay)         resume

# A vehicle that waits.
awaiting             unplugged              -          available      -
awaiting             opened                 -          (go)           start
awaiting,finished    owner_card,other_card  -          (go)           take,accepted,start
awaiting,finished    service_card           may_start  (go)           take,accepted,start
awaiting,finished    service_card           -          (stay)         refuse
awaiting,finished    authorise              -          (go)           take,accepted,start

# A card that the operator judges.
available,awaiting   unjudged_card          -          checking       ask
finished             unjudged_card          -          checking       ask
checking             unanswered             -          (rest)         unanswered
checking             plugged                open       (rest)         -
checking             unplugged,opened       -          (rest)         -

# A session that runs.
authorised           asks                   -          charging       -
charging             rests                  -          authorised     -
authorised,charging  unplugged              -          available      end:unplugged
authorised,charging  own_card               -          finished       end:card,accepted
authorised,charging  group_card             -          finished       end:group,accepted
authorised,charging  owner_card             -          finished       end:owner,accepted
authorised,charging  service_card           -          finished       end:service,accepted
authorised,charging  other_card             anonymous  (stay)         accepted
authorised,charging  other_card             -          (stay)         refuse:ConcurrentTx
authorised,charging  refused_card           -          (stay)         refuse:ConcurrentTx
authorised,charging  stop                   -          finished       end
authorised,charging  withdrawn              held       finished       end:withdrawn
authorised,charging  disabled               -          unavailable    end:unavailable

# The session over, the vehicle still there.
finished             unplugged              -          available      -

# The next card is registered.
available,awaiting   enrol                  -          enrolling      limit:enrol
enrolling            enrol                  -          enrolling      failed:replaced,limit:enrol
enrolling            new_card               -          (rest)         enrolled:enrolled
enrolling            known_card             -          (rest)         enrolled:refused
enrolling            unreadable             -          (stay)         unreadable,enrol_retry
enrolling            random_card            -          (rest)         refuse,failed:RandomNumber
enrolling            time_out               -          (rest)         failed:time_out
enrolling            cancel_enrol           -          (rest)         failed:cancelled
enrolling            disabled               -          unavailable    failed:unavailable
enrolling            fault                  -          faulted        failed:fault,fault

# Self-test.
available            service_card           -          service        accepted,limit:selftest
available            selftest_on            -          service        limit:selftest
preauthorised        service_card           -          service        accepted,limit:selftest
preauthorised        selftest_on            -          service        limit:selftest
unavailable,faulted  service_card           vacant     service        accepted,limit:selftest
unavailable,faulted  owner_card             vacant     service        accepted,limit:selftest
unavailable,faulted  selftest_on            vacant     service        limit:selftest
service              owner_card             -          (rest)         accepted
service              service_card           -          (rest)         accepted
service              plugged                -          (rest)         -
service              time_out,selftest_off  -          (rest)         -
service              stop                   -          (rest)         -
service              fault                  -          (stay)         fault

# Switched off by the owner.
available            disabled               -          unavailable    -
preauthorised        disabled               -          unavailable    -
awaiting,checking    disabled               -          unavailable    -
finished             disabled               -          unavailable    -
unavailable          enabled                -          (rest)         anew

# Faults. A session outlives them; its vehicle may leave and its people may end it meanwhile.
*                    fault                  -          faulted        fault
*                    fewer_faults,cleared   -          (stay)         fault_cleared
faulted              cleared                -          (stay)         fault_cleared,limit:fault_over
faulted              time_out               -          (rest)         -
faulted              unplugged              running    (stay)         end:unplugged
faulted              own_card               running    (stay)         end:card,accepted
faulted              group_card             running    (stay)         end:group,accepted
faulted              owner_card             running    (stay)         end:owner,accepted
faulted              service_card           running    (stay)         end:service,accepted
faulted              other_card             running    (stay)         refuse:ConcurrentTx
faulted              refused_card           running    (stay)         refuse:ConcurrentTx
faulted              stop                   running    (stay)         end
faulted              withdrawn              held       (stay)         end:withdrawn
faulted              disabled               running    (stay)         end:unavailable

# Everything else.
*                    refused_card           -          (stay)         refuse
*                    busy_card              -          (stay)         refuse:ConcurrentTx
*                    unjudged_card          -          (stay)         ask
*                    unanswered             -          (stay)         unanswered
*                    any_card               -          (stay)         refuse:NotAtThisTime
*                    early_card,settled     -          (stay)         -
*                    unreadable             -          (stay)         unreadable
*                    authorise,stop         -          (stay)         declined
*                    enrol,cancel_enrol     -          (stay)         declined
*                    selftest_on            -          (stay)         declined
*                    selftest_off           -          (stay)         -
*                    plugged,unplugged      -          (stay)         -
*                    asks,rests             -          (stay)         -
*                    opened,restricted      -          (stay)         -
*                    enabled                -          (stay)         anew
*                    disabled               -          (stay)         -
*                    withdrawn              -          (stay)         -
"""

_ANY_CARD = ("own_card", "group_card", "owner_card", "service_card", "other_card")


def condensed(table: str) -> tuple:
    """What `session.step` looks lines up in: one text of "event condition next effects", a line
    each, an empty line after each state; and where in it each state begins and ends, end << 15 |
    begin, as looking for the end takes longer than all the rest.

    As bytes: in a str MicroPython counts characters from the start to wherever it searches.
    """
    of_states = {}
    for line in table.split("\n"):
        if not line or line[0] == "#":
            continue
        states, events, condition, next_state, effects = line.split()
        for state in states.split(","):
            lines = of_states.setdefault(state, [])
            for event in _ANY_CARD if events == "any_card" else events.split(","):
                lines.append("\n{} {} {} {}".format(event, condition, next_state, effects))
    text = ""
    places = {}
    for state in sorted(of_states):
        place = len(text)
        text += "".join(of_states[state]) + "\n"
        assert len(text) < 1 << 15
        places[state] = len(text) << 15 | place
    return (text + "\n").encode(), places


LINES, PLACES = condensed(TABLE)
