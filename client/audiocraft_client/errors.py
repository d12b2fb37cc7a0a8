"""The errors of calls, and the mapping from a server's status to them."""


class AudioCraftError(Exception):
    """Base of all failures of a call. The message is one line, and says what to do where that is known."""


class InvalidRequest(AudioCraftError):
    """The server, or the client before sending, refused the request as invalid."""


class Overloaded(AudioCraftError):
    """The server's admission queue is full. The same request may succeed in a moment."""


class ServerUnreachable(AudioCraftError):
    """No server answers at the address, or the connection broke."""


class Cancelled(AudioCraftError):
    """The call was cancelled before it finished."""


class DeadlineExceeded(AudioCraftError):
    """The client's `timeout` passed before the answer arrived."""


class ServerFailure(AudioCraftError):
    """Any other failure inside the server: a model that isn't loaded, an internal error."""


# Keys are gRPC status names and HTTP status codes.
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

# gRPC reports a broken connection and a full queue with the same status, UNAVAILABLE, and does not
# tell local errors from remote ones: these words are from its own transport errors.
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

# Triton also reports UNAVAILABLE for a model that is not loaded, where a later try won't help.
_NO_SUCH_MODEL = "unknown model"

# Triton also reports UNAVAILABLE for a request that exceeded its own timeout, where a second try won't help.
_TIMED_OUT = "within its timeout"


def from_status(status: str, message: str) -> AudioCraftError:
    """Makes the error for a failed call.

    Args:
        status: gRPC status name ("INVALID_ARGUMENT") or HTTP status code ("400").
        message: the server's, or the transport's, message.
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
