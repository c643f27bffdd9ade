"""The station's watch over its radio, with a radio that is driven by the test."""

from time import ticks_add  # pyright: ignore[reportAttributeAccessIssue]

from firmware.link.wifi import JOIN_MS, RESTART_AFTER, Wifi


class Radio:
    """What `network.WLAN` is to the station. `calls`: what it was asked, in order."""

    def __init__(self):
        self.calls = []
        self.joined = False
        self.address = "0.0.0.0"
        self.busy = False

    def isconnected(self):
        return self.joined

    def ifconfig(self):
        return (self.address, "255.255.255.0", "10.0.0.1", "10.0.0.53")

    def active(self, on):
        self.calls.append(("active", on))

    def connect(self, ssid, password):
        self.calls.append(("connect", ssid, password))
        if self.busy:
            raise OSError("Wifi Internal State Error")

    def disconnect(self):
        self.calls.append(("disconnect",))

    def status(self, what):
        assert what == "rssi"
        if not self.joined:
            raise OSError("STA must be active")
        return -61

    def join(self):
        self.joined, self.address = True, "10.0.0.7"

    def lose(self):
        self.joined, self.address = False, "0.0.0.0"


LEAVE = ("disconnect",)
ON, OFF = ("active", True), ("active", False)
ASK = ("connect", "home", "secret")


def station():
    radio, changes = Radio(), []
    return Wifi(radio, "home", "secret", changes.append), radio, changes


def test_it_joins_at_once_and_asks_only_once():
    wifi, radio, changes = station()
    for now in (0, 250, 500):
        wifi.poll(now)
    assert radio.calls == [ON, ASK]
    assert not wifi.up and changes == []


def test_it_is_up_when_it_is_joined_and_has_an_address():
    wifi, radio, changes = station()
    wifi.poll(0)
    radio.joined = True
    wifi.poll(250)
    assert not wifi.up
    radio.join()
    wifi.poll(500)
    assert wifi.up and changes == [True]
    assert wifi.rssi() == -61
    assert wifi.dns == "10.0.0.53"


def test_a_lost_link_is_left_to_the_driver_first_and_then_asked_for_again():
    wifi, radio, changes = station()
    wifi.poll(0)
    radio.join()
    wifi.poll(250)
    radio.lose()
    radio.calls.clear()
    wifi.poll(500)
    assert not wifi.up and changes == [True, False]
    assert wifi.rssi() is None
    wifi.poll(500 + JOIN_MS - 1)
    assert radio.calls == []
    wifi.poll(500 + JOIN_MS)
    assert radio.calls == [LEAVE, ON, ASK]


def test_a_radio_that_does_not_join_is_switched_off_and_on_in_the_end():
    wifi, radio, _ = station()
    now = 0
    for _ in range(RESTART_AFTER):
        wifi.poll(now)
        now += JOIN_MS
    assert radio.calls[-4:] == [LEAVE, OFF, ON, ASK]
    assert radio.calls.count(OFF) == 1


def test_a_driver_that_refuses_is_asked_again_later():
    wifi, radio, _ = station()
    radio.busy = True
    wifi.poll(0)
    assert wifi.problem == "Wifi Internal State Error"
    radio.calls.clear()
    radio.busy = False
    wifi.poll(JOIN_MS)
    assert radio.calls == [LEAVE, ON, ASK]
    radio.join()
    wifi.poll(JOIN_MS + 250)
    assert wifi.up and wifi.problem == ""


def test_the_clock_of_ticks_may_wrap():
    wifi, radio, _ = station()
    began = ticks_add(0, -100)
    wifi.poll(began)
    radio.calls.clear()
    wifi.poll(ticks_add(began, JOIN_MS - 1))
    assert radio.calls == []
    wifi.poll(ticks_add(began, JOIN_MS))
    assert radio.calls == [LEAVE, ON, ASK]
