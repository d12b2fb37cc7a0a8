"""What can go wrong for a caller, as types: adapters map each to one Triton status."""


class InvalidRequest(ValueError):
    """A caller's value is out of bounds.

    Attributes:
        field: the input's name in the public contract.
        value: what was given, shortened for the message.
        bound: the limit, in words.
    """

    def __init__(self, field: str, value: object, bound: str) -> None:
        shown = repr(value)
        if len(shown) > 60:
            shown = f"{shown[:57]}..."
        super().__init__(f"{field}={shown}: {bound}")
        self.field = field
        self.value = value
        self.bound = bound


class Overloaded(RuntimeError):
    """The admission queue is full: try again later."""


class Cancelled(RuntimeError):
    """The caller gave up before the result was complete."""


class DeadlineExceeded(RuntimeError):
    """The request's own timeout passed before its result was complete."""


class CheckpointError(RuntimeError):
    """A checkpoint is missing, unsafe or of a kind this project can't run; the message says what to do."""
