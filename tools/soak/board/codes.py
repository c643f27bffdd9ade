"""What goes over the line, for both ends: line.py here, tools/soak/line.py on the computer."""

# Questions: operation, nothing, length of the data behind it, an argument, the time, the meter's
# pulses. Answers: a number, flags, how many orders follow, nothing, the next thing due, how long to
# look closely. Orders: what, an argument, length of the data behind it.
QUESTION = "<BBHiqi"
ANSWER = "<iBBHqI"
ORDER = "<BBH"

# Operations
TURN, COIL, CONNECT, SEND, RECEIVE, CLOSE, UDP, RTC, MEASURED, RESET, BITE, CUT = range(12)
# Flags
READABLE, OVER, STANDS, REFUSED = 1, 2, 4, 8
# Orders
VEHICLE, CARD, POWER, READER, FEEDBACK, RADIO, DATAGRAM, BALLAST, MEASURE, CUT_AT = range(10)
