"""Calls over a local socket from the unary model to the engine in the process of the stream model.

Triton's own inference requests from one model to another can't be used with a decoupled model: in 24.10 the calling
process deadlocks or dies after some hundred concurrent calls, errors that are not the first response are lost, and
such a request can't be cancelled. Here each call has its own connection, and a disconnect cancels it.

The socket's name is in Linux's abstract namespace and contains the server's process id and the model's name, so no
file is left in any folder. Only processes of the same user are answered. `frames` defines the data that may be sent.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from audiocraft_triton.contract.errors import Cancelled
from audiocraft_triton.serving.adapters import frames
from audiocraft_triton.serving.adapters.frames import FrameError, Values

MAX_INSTANCES = 64
"""Most instances of one stream model in a server; there is one per GPU."""
ACCEPT_PAUSE = 0.1
"""Seconds after which the server accepts again if it could not, because of too many open files or threads."""
_REFUSED = "refused"


class ServerCall:
    """The server's end of one call.

    Attributes:
        values: the values that the client sent.
    """

    def __init__(self, values: Values) -> None:
        self.values = values
        self._lock = threading.Lock()
        self._disconnected = False
        self._cancel: Callable[[], None] | None = None

    def on_disconnect(self, cancel: Callable[[], None]) -> None:
        """Calls `cancel` when the client disconnects, or immediately if it already has."""
        with self._lock:
            self._cancel = cancel
            disconnected = self._disconnected
        if disconnected:
            cancel()

    def disconnected(self) -> None:
        """Called by the server when the client has disconnected."""
        with self._lock:
            self._disconnected = True
            cancel = self._cancel
        if cancel is not None:
            cancel()


class RpcServer:
    """The engine's end. Each call has one thread that answers it and one that notices when its client disconnects.

    Args:
        model: the stream model's name.
        answer: returns the values to send back for a call; must not raise.
    """

    def __init__(self, model: str, answer: Callable[[ServerCall], Values]) -> None:
        self._answer = answer
        self._socket = _bound_socket(model)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rpc", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops accepting calls."""
        self._closing.set()
        with suppress(OSError):  # nothing may ever have connected to it
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                accepted, _ = self._socket.accept()
                if _peer_user(accepted) == os.getuid():
                    threading.Thread(target=self._serve, args=(accepted,), name="call", daemon=True).start()
                else:
                    accepted.close()
            except (OSError, RuntimeError):
                self._closing.wait(ACCEPT_PAUSE)

    def _serve(self, accepted: socket.socket) -> None:
        with accepted, suppress(EOFError, OSError):
            try:
                call = ServerCall(frames.receive(accepted))
            except FrameError as error:
                accepted.sendall(frames.encode({_REFUSED: str(error)}))
                return
            reply = threading.Thread(target=self._reply, args=(call, accepted), name="reply", daemon=True)
            reply.start()
            with suppress(OSError):
                accepted.recv(1)  # the client sends nothing more: this returns when either end disconnects
            call.disconnected()
            reply.join()

    def _reply(self, call: ServerCall, accepted: socket.socket) -> None:
        try:
            answer = self._answer(call)
            try:
                frame = frames.encode(answer)
            except FrameError as error:
                frame = frames.encode({_REFUSED: f"the answer can't be sent: {error}"})
            accepted.sendall(frame)
        except OSError:
            pass  # the client disconnected and wants no answer
        finally:
            with suppress(OSError):
                accepted.shutdown(socket.SHUT_RDWR)


class RpcClient:
    """The unary model's end.

    Args:
        model: the stream model's name.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._calls: Counter[int] = Counter()
        self._instances = 0

    @contextmanager
    def connected(self) -> Iterator[ClientCall]:
        """Connects to the instance with the fewest calls; the connection ends with the block.

        Raises:
            ConnectionError: the stream model is not running.
        """
        instance, connected = self._connect()
        try:
            with connected:
                yield ClientCall(connected)
        finally:
            with self._lock:
                self._calls[instance] -= 1

    def _connect(self) -> tuple[int, socket.socket]:
        with self._lock:
            if self._instances == 0:
                self._instances = _count_instances(self._model)
            if self._instances == 0:
                raise ConnectionError(f"{self._model} is not running, and this model can't generate without it")
            instance = min(range(self._instances), key=lambda index: self._calls[index])
            self._calls[instance] += 1
        try:
            return instance, _connected_socket(_name(self._model, instance))
        except OSError as error:
            with self._lock:
                self._calls[instance] -= 1
                self._instances = 0  # look again next time
            raise ConnectionError(f"{self._model} is not running: {error}") from error


class ClientCall:
    """The client's end of one call."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._disconnected = False

    def ask(self, values: Values) -> Values:
        """Sends the values and waits for the answer.

        Raises:
            Cancelled: `disconnect` was called.
            ConnectionError: the server's process ended.
            FrameError: the values can't be sent, or the server refused them.
        """
        frame = frames.encode(values)
        try:
            self._socket.sendall(frame)
            answer = frames.receive(self._socket)
        except (EOFError, OSError) as error:
            if self._disconnected:
                raise Cancelled("the caller cancelled the request") from None
            raise ConnectionError("the engine's process ended in the middle of this request") from error
        if _REFUSED in answer:
            raise FrameError(f"the engine's process refused this request: {answer[_REFUSED]}")
        return answer

    def disconnect(self) -> None:
        """Ends the call, from any thread."""
        self._disconnected = True
        with suppress(OSError):  # the other end may have gone
            self._socket.shutdown(socket.SHUT_RDWR)


def _name(model: str, instance: int) -> str:
    # The containers of a pod share this namespace of socket names, and their process ids can be equal.
    namespace = os.stat("/proc/self/ns/pid").st_ino
    return f"\0audiocraft-triton/{namespace}/{os.getppid()}/{model}/{instance}"


def _bound_socket(model: str) -> socket.socket:
    """Listens under the first of this model's names that no other instance uses."""
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
