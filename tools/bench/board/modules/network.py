"""`network` of the modelled board: a station, joined as long as the radio has somebody to hear."""

import wiring as _wiring

STA_IF = 0
AP_IF = 1


class WLAN:
    def __init__(self, interface=STA_IF):
        self._active = self._joined = False

    def active(self, on=None):
        if on is not None:
            self._active = on
            self._joined = self._joined and on
        return self._active

    def connect(self, ssid=None, key=None):
        self._joined = True

    def disconnect(self):
        self._joined = False

    def isconnected(self):
        return self._joined and _wiring.radio

    def ifconfig(self):
        return ("192.168.4.2", "255.255.255.0", "192.168.4.1", "192.168.4.1")

    def status(self, what=None):
        return -60

    def config(self, *_, **__):
        return None
