"""The words of the access rules: states, verdicts, roles and the reasons a session ends for."""

# States of the charger.
AVAILABLE = "available"
PREAUTHORISED = "preauthorised"
AWAITING = "awaiting"
CHECKING = "checking"
AUTHORISED = "authorised"
CHARGING = "charging"
FINISHED = "finished"
ENROLLING = "enrolling"
SERVICE = "service"
UNAVAILABLE = "unavailable"
FAULTED = "faulted"

# Verdicts on a card: AuthorizationStatusEnumType of OCPP 2.0.1, so far as it has a word.
ACCEPTED = "Accepted"
BLOCKED = "Blocked"
CONCURRENT_TX = "ConcurrentTx"
EXPIRED = "Expired"
INVALID = "Invalid"  # a service card that may stop sessions and test, but start none
NOT_AT_THIS_LOCATION = "NotAtThisLocation"
NOT_AT_THIS_TIME = "NotAtThisTime"
UNKNOWN = "Unknown"
# Verdicts that OCPP has no word for.
CLOCK_UNKNOWN = "ClockUnknown"
LIST_TOO_OLD = "ListTooOld"
RANDOM_NUMBER = "RandomNumber"

# Roles, in the order of their numbers in an allow-list entry. "service" is also a state.
OWNER = "owner"
USER = "user"
ROLES = (OWNER, USER, SERVICE)

# Access modes.
OPEN = "open"
RESTRICTED = "restricted"
