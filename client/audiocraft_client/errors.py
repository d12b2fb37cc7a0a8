"""What can go wrong with a call, and how a server's status becomes one of these errors."""

# The names already say what happened; a suffix would say nothing more.


class AudioCraftError(Exception):
    """Any failure of a call. Its text is one line that says what to do where that is known."""


class InvalidRequest(AudioCraftError):
    """The request can't be served as asked: the server, or the client before sending, refused it."""


class Overloaded(AudioCraftError):
    """The server answers, but its queue is full. The same request may succeed in a moment."""


class ServerUnreachable(AudioCraftError):
    """Nothing answers at the address, or the connection broke."""


class Cancelled(AudioCraftError):
    """The call was cancelled before it finished."""


class DeadlineExceeded(AudioCraftError):
    """The client's `timeout` passed before the answer came."""


class ServerFailure(AudioCraftError):
    """Any other failure inside the server: a model that isn't loaded, an internal error."""


# gRPC status names and HTTP status codes, side by side.
_BY_STATUS: dict[str, type[AudioCraftError]] = {
    "INVALID_ARGUMENT": InvalidRequest,
    "400": InvalidRequest,
    "UNAVAILABLE": Overloaded,
    "503": Overloaded,
    "CANCELLED": Cancelled,
    "499": Cancelled,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "504": DeadlineExceeded,
    "502": ServerUnreachable,
}

# gRPC reports a broken connection and a full queue with the same status, UNAVAILABLE, and marks
# neither as local or remote: these are the words of its own transport errors.
_CONNECTION_WORDS = (
    "failed to connect",
    "connection refused",
    "connection reset",
    "connection closed",
    "connection timed out",
    "socket closed",
    "broken pipe",
    "goaway",
    "no route to host",
    "network is unreachable",
    "errors resolving",
    "dns resolution failed",
    "name resolution",
    "empty address list",
)

# Triton says UNAVAILABLE of a model it doesn't have loaded, too; waiting for a slot won't help there.
_NO_SUCH_MODEL = "unknown model"

# And of a request that took longer than it allowed itself, which no second try makes shorter.
_TIMED_OUT = "within its timeout"


def from_status(status: str, message: str) -> AudioCraftError:
    """Makes the error for a failed call.

    Args:
        status: gRPC status name ("INVALID_ARGUMENT") or HTTP status code ("400").
        message: the server's, or the transport's, own words.
    """
    words = message.lower()
    if _NO_SUCH_MODEL in words:
        return ServerFailure(message)
    kind = _BY_STATUS.get(status, ServerFailure)
    if kind is Overloaded and _TIMED_OUT in words:
        kind = DeadlineExceeded
    if status == "UNAVAILABLE" and any(word in words for word in _CONNECTION_WORDS):
        kind = ServerUnreachable
    return kind(message)
