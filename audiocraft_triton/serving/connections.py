"""Asks the Linux kernel which clients are connected to a local port, and whether they wait for an answer."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP = 20, 0x301
_ERROR, _DONE = 2, 3
_TCP_INFO = 2
_ESTABLISHED = 1
_HEADER = struct.Struct("=IHHII")
_QUERY = struct.Struct("=BBBxI48s")
_DIAG_BYTES = 72
_LAST_SENT, _LAST_RECEIVED = 44, 52  # in struct tcp_info: milliseconds since data was sent, and received


def all_idle(port: int) -> bool:
    """Tells whether `port` has connections and all of them are idle.

    A connection is idle if the server has sent something since it last received something. That is right for
    HTTP/1.1, where a client waits for the answer after each request. Returns False if the kernel does not tell.
    """
    try:
        silent = [received >= sent for sent, received in _established(port)]
    except OSError:
        return False
    return bool(silent) and all(silent)


def _established(port: int) -> Iterator[tuple[int, int]]:
    """Yields the milliseconds since data was last sent and last received, for each connection to a local port."""
    for family in (socket.AF_INET, socket.AF_INET6):
        for message in _dump(family):
            if struct.unpack_from(">H", message, 4)[0] != port:
                continue
            information = _attribute(message, _TCP_INFO)
            if information is None:
                raise OSError("the kernel gives no tcp_info")
            yield (
                struct.unpack_from("=I", information, _LAST_SENT)[0],
                struct.unpack_from("=I", information, _LAST_RECEIVED)[0],
            )


def _dump(family: int) -> Iterator[bytes]:
    """Yields the inet_diag messages of all established TCP connections in this network namespace."""
    query = _QUERY.pack(family, socket.IPPROTO_TCP, 1 << (_TCP_INFO - 1), 1 << _ESTABLISHED, b"")
    header = _HEADER.pack(_HEADER.size + len(query), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(2)
        kernel.send(header + query)
        while True:
            answer = kernel.recv(1 << 18)
            position = 0
            while position < len(answer):
                length, kind, *_ = _HEADER.unpack_from(answer, position)
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    raise OSError("the kernel does not list connections")
                yield answer[position + _HEADER.size : position + length]
                position += (length + 3) & ~3


def _attribute(message: bytes, wanted: int) -> bytes | None:
    position = _DIAG_BYTES
    while position + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, position)
        if kind == wanted:
            return message[position + 4 : position + length]
        position += (length + 3) & ~3
    return None
