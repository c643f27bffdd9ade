"""The protocol between the board's stand-ins (MicroPython) and the world (CPython), for both sides.

Requests travel through a pipe as packets: u16 length (little-endian), then one or more of the
operations below. Replies come through a second pipe and have no frame of their own: whoever asks
knows how many bytes the answer has. Events (interrupts, timers) come through a third pipe as
records of two bytes: kind, number.
"""

# operations: name = code        payload                          reply
DRIVE = 1  #                     pin u8, level u8                 -
SPI = 2  #                       n u16, n bytes                   n bytes
READ = 3  #                      pin u8                           u8 level
MODE = 4  #                      pin u8, mode u8, pull u8         -
PWM = 5  #                       pin u8, duty u16, freq u32       -
ADC = 6  #                       pin u8                           u32 microvolts at the pin
BITSTREAM = 7  #                 pin u8, n u16, n bytes           -
FEED = 8  #                      -                                -
HEAP = 9  #                     in use u32                       -
CALL = 10  #                     n u32, JSON [name, arguments…]   u32 length, JSON [true, result]
#                                                                 or [false, error type, text]
BLOCK_READ = 11  #               block u32, offset u32, n u32     n bytes
BLOCK_PROGRAM = 12  #            block u32, offset u32, n u16, …  u8 outcome
BLOCK_ERASE = 13  #              block u32                        u8 outcome
SYNC = 14  #                     nonce 8 bytes                    the nonce

# outcome of a block operation; blocks are counted from the beginning of the chip
BLOCK_DONE, BLOCK_PROTECTED, BLOCK_FAILED = 0, 1, 2

# pin modes and pulls as they stand in MODE
MODE_OFF, MODE_IN, MODE_OUT, MODE_OPEN_DRAIN = 0, 1, 3, 7
PULL_NONE, PULL_DOWN, PULL_UP = 0, 1, 2

# events: kind
PIN_EVENT = 1  # number: pin
TIMER_EVENT = 2  # number: timer
HEAP_EVENT = 3  # the world asks for HEAP
COUNTER_EVENT = 4  # number: counter

SPI_CHUNK = 256  # bytes of one SPI operation at most
BLOCK_CHUNK = 2048  # bytes of one block operation at most: a packet fits into PIPE_BUF
