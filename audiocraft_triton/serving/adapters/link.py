"""The way from the unary face of a generation model to the engine in its stream sibling's process: a local socket.

Triton's own way, an inference request of one model to another, is not safe to a decoupled model: in 24.10 the asking
process deadlocks or dies after some hundred concurrent calls, errors that are not the first response are lost, and
such a request can't be cancelled. Over a socket that is a connection per call, and to hang up is to cancel.

The socket has a name in Linux' abstract namespace, made of the server's process and the model: nothing is left in any
folder, and only processes of the same user are answered.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from audiocraft_triton.contract.errors import Cancelled

MAX_INSTANCES = 64
"""Instances of one stream model in a server: one a GPU."""

Values = Mapping[str, Any]


class Call:
    """What the engine's side sees of one call.

    Attributes:
        values: what was sent: plain values, bytes and arrays by name.
    """

    def __init__(self, values: Values) -> None:
        self.values = values
        self._lock = threading.Lock()
        self._left = False
        self._cancel: Callable[[], None] | None = None

    def when_caller_leaves(self, cancel: Callable[[], None]) -> None:
        """Has `cancel` called once the caller hangs up, or at once if it did."""
        with self._lock:
            self._cancel = cancel
            left = self._left
        if left:
            cancel()

    def caller_left(self) -> None:
        """For the listener."""
        with self._lock:
            self._left = True
            cancel = self._cancel
        if cancel is not None:
            cancel()


class Listener:
    """The engine's end. Each call has a thread that answers it and one that notices when its caller hangs up.

    Args:
        model: the stream model's name.
        answer: what is sent back for a call; must not raise.
    """

    def __init__(self, model: str, answer: Callable[[Call], Values]) -> None:
        self._answer = answer
        self._socket = _bound_socket(model)
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Takes no more calls."""
        with suppress(OSError):  # it may never have been connected to
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                accepted, _ = self._socket.accept()
            except OSError:
                return  # closed
            if _peer_user(accepted) == os.getuid():
                threading.Thread(target=self._serve, args=(accepted,), name="call", daemon=True).start()
            else:
                accepted.close()

    def _serve(self, accepted: socket.socket) -> None:
        with suppress(EOFError, OSError), accepted, Connection(os.dup(accepted.fileno())) as connection:
            call = Call(connection.recv())
            arguments = (call, connection, accepted)
            reply = threading.Thread(target=self._reply, args=arguments, name="reply", daemon=True)
            reply.start()
            with suppress(EOFError, OSError):
                connection.recv()  # nothing more is ever sent: this ends with the call, or when the caller hangs up
            call.caller_left()
            reply.join()

    def _reply(self, call: Call, connection: Connection, accepted: socket.socket) -> None:
        try:
            connection.send(self._answer(call))
        except OSError:
            pass  # who hung up wants no answer
        finally:
            with suppress(OSError):
                accepted.shutdown(socket.SHUT_RDWR)


class Caller:
    """The unary face's end.

    Args:
        model: the stream model's name.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._calls: Counter[int] = Counter()
        self._instances = 0

    @contextmanager
    def calling(self) -> Iterator[Ask]:
        """A connection to the instance with the fewest calls; hangs up at the end.

        Raises:
            ConnectionError: the stream model is not there.
        """
        instance, connected = self._connect()
        ask = Ask(connected)
        try:
            yield ask
        finally:
            ask.close()
            with self._lock:
                self._calls[instance] -= 1

    def _connect(self) -> tuple[int, socket.socket]:
        with self._lock:
            if self._instances == 0:
                self._instances = _count_instances(self._model)
            if self._instances == 0:
                raise ConnectionError(f"{self._model} is not there to generate anything")
            instance = min(range(self._instances), key=lambda index: self._calls[index])
            self._calls[instance] += 1
        try:
            return instance, _connected_socket(_name(self._model, instance))
        except OSError as error:
            with self._lock:
                self._calls[instance] -= 1
                self._instances = 0  # look again next time
            raise ConnectionError(f"{self._model} is not there to generate anything: {error}") from error


class Ask:
    """One call of the unary face."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._connection = Connection(os.dup(connected.fileno()))
        self._hung_up = False

    def ask(self, values: Values) -> Values:
        """Sends the values and waits for the answer.

        Raises:
            Cancelled: this end hung up.
            ConnectionError: the other end did.
        """
        try:
            self._connection.send(values)
            answer: Values = self._connection.recv()
        except (EOFError, OSError) as error:
            if self._hung_up:
                raise Cancelled("the caller cancelled the request") from None
            raise ConnectionError("the engine's process ended in the middle of this request") from error
        return answer

    def hang_up(self) -> None:
        """Ends the call, from any thread."""
        self._hung_up = True
        with suppress(OSError):  # the other end may have gone
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Frees the connection."""
        self._connection.close()
        self._socket.close()


def _name(model: str, instance: int) -> str:
    # Containers of one pod share this namespace of names, and number their processes alike.
    namespace = os.stat("/proc/self/ns/pid").st_ino
    return f"\0audiocraft-triton/{namespace}/{os.getppid()}/{model}/{instance}"


def _bound_socket(model: str) -> socket.socket:
    """Listens under the first name of this model that no other instance has."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    for instance in range(MAX_INSTANCES):
        try:
            listening.bind(_name(model, instance))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            listening.listen(1024)
            return listening
    raise RuntimeError(f"{model} has more than {MAX_INSTANCES} instances")


def _connected_socket(name: str) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.connect(name)
    except OSError:
        connected.close()
        raise
    return connected


def _count_instances(model: str) -> int:
    for instance in range(MAX_INSTANCES):
        try:
            _connected_socket(_name(model, instance)).close()
        except OSError:
            return instance
    return MAX_INSTANCES


def _peer_user(connected: socket.socket) -> int:
    _pid, user, _group = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(user)
