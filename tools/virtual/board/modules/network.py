"""`network` of the virtual board: one station on the world's Wi-Fi."""

import analog as _analog
import line as _line

STA_IF = 0
AP_IF = 1
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202
STAT_ASSOC_FAIL = 203
STAT_CONNECT_FAIL = 203
STAT_HANDSHAKE_TIMEOUT = 204
STAT_BEACON_TIMEOUT = 200
AUTH_OPEN = 0
AUTH_WEP = 1
AUTH_WPA_PSK = 2
AUTH_WPA2_PSK = 3
AUTH_WPA_WPA2_PSK = 4
AUTH_WPA3_PSK = 6
AUTH_WPA2_WPA3_PSK = 7

_hostname = "mpy-esp32"
_country = "XX"
_stations = {}


class WLAN:
    IF_STA = 0
    IF_AP = 1
    SEC_OPEN = 0
    SEC_WPA2 = 3
    SEC_WPA3 = 6
    SEC_WPA2_WPA3 = 7
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    def __new__(cls, interface_id=0):
        if interface_id not in (0, 1):
            raise ValueError("invalid WLAN interface identifier")
        if interface_id not in _stations:
            _stations[interface_id] = object.__new__(cls)
        return _stations[interface_id]

    def __init__(self, interface_id=0):
        if not hasattr(self, "_settings"):
            self._id = interface_id
            self._active = False
            self._settings = {"pm": 1, "reconnects": -1, "txpower": 20, "channel": 6}
            self._ssid = ""
            self._fixed = None

    def active(self, is_active=None):
        if is_active is None:
            return self._active
        self._active = bool(is_active)
        if self._id == STA_IF:
            _line.call("wlan.active", self._active)
        return self._active

    def _on(self):
        if not self._active:
            raise OSError("Wifi Not Started")

    def connect(self, ssid=None, key=None, *, bssid=None):
        self._on()
        if self._id != STA_IF:
            raise OSError("STA required")
        if ssid is not None:
            ssid = ssid if isinstance(ssid, str) else bytes(ssid).decode()
            key = "" if key is None else key if isinstance(key, str) else bytes(key).decode()
            if len(ssid.encode()) > 32:
                raise OSError(0x0102, "Invalid argument")
            if 0 < len(key.encode()) < 8 or len(key.encode()) > 64:
                raise OSError(0x300B, "Wifi Invalid Password")
            self._ssid = ssid
        if _line.call("wlan.state")["status"] == STAT_CONNECTING:
            raise OSError("Wifi Internal State Error")
        _line.call("wlan.connect", self._ssid, key)

    def disconnect(self):
        self._on()
        _line.call("wlan.disconnect")

    def isconnected(self):
        if self._id == AP_IF:
            return False
        return _line.call("wlan.state")["status"] == STAT_GOT_IP

    def status(self, param=None):
        state = _line.call("wlan.state")
        if param is None:
            return state["status"]
        if param == "rssi":
            if state["status"] != STAT_GOT_IP:
                raise OSError("Wifi Not Connected")
            return state["rssi"]
        if param == "stations" and self._id == AP_IF:
            return []
        raise ValueError("unknown status param")

    def scan(self):
        self._on()
        return [
            (one["ssid"].encode(), b"\x02\x00\x00\x00\x00\x01", 6, one["rssi"], 3, False)
            for one in _line.call("wlan.scan")
        ]

    def ifconfig(self, configtuple=None):
        if configtuple is not None:
            self._fixed = None if configtuple == "dhcp" else tuple(configtuple)
            return None
        state = _line.call("wlan.state")
        if self._id == AP_IF or state["status"] != STAT_GOT_IP:
            return ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")
        return self._fixed or tuple(state["ifconfig"])

    def ipconfig(self, *names, **values):
        address, mask, gateway, _ = self.ifconfig()
        if values:
            return None
        if len(names) != 1:
            raise TypeError("must query one param")
        known = {"addr4": (address, mask), "gw4": gateway, "dhcp4": True, "has_dhcp4": True}
        if names[0] not in known:
            raise ValueError("unknown config param")
        return known[names[0]]

    def config(self, *names, **values):
        if names and values:
            raise TypeError("either pos or kw args are allowed")
        if values:
            allowed = (
                "mac",
                "ssid",
                "essid",
                "channel",
                "hidden",
                "security",
                "authmode",
                "key",
                "password",
                "hostname",
                "dhcp_hostname",
                "reconnects",
                "txpower",
                "pm",
                "max_clients",
                "protocol",
                "bandwidth",
            )
            for name in values:
                if name not in allowed:
                    raise ValueError("unknown config param")
            self._settings.update(values)
            return None
        if len(names) != 1:
            raise TypeError("can query only one param")
        if names[0] == "mac":
            return _mac
        if names[0] in ("ssid", "essid"):
            return self._ssid
        if names[0] in ("hostname", "dhcp_hostname"):
            return _hostname
        if names[0] not in self._settings:
            raise ValueError("unknown config param")
        return self._settings[names[0]]


_mac = bytes(6)


def hostname(name=None):
    global _hostname
    if name is None:
        return _hostname
    if len(name) > 32:
        raise ValueError("hostname too long")
    _hostname = name
    return None


def country(code=None):
    global _country
    if code is None:
        return _country
    if len(code) != 2:
        raise ValueError("invalid country code")
    _country = code
    return None


def ipconfig(*names, **values):
    known = {"dns": "0.0.0.0", "prefer": 4}
    if values:
        return None
    if len(names) != 1 or names[0] not in known:
        raise ValueError("unknown config param")
    return known[names[0]]


_analog.wifi_active = lambda: any(station._active for station in _stations.values())
