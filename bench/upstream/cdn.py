"""The pictures: a thread a connection, blocking in `sendfile`, so that no byte of a picture passes through Python."""

import re
import socket
import tempfile
import threading
from collections.abc import Callable
from typing import IO

from bench.upstream.pictures import large

_REQUEST = re.compile(rb"(GET|HEAD) [^ ]*?/(\d{7})\.png")
_MORE = getattr(socket, "MSG_MORE", 0)
"""The head waits for the first bytes of the body, where the system knows how."""


class Cdn:
    """Serves every picture on loopback until the process ends.

    Args:
        served: Called at each GET.
    """

    def __init__(self, served: Callable[[], None]) -> None:
        self._served = served
        self._pictures = large()
        self._tail = _file(self._pictures.tail)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.base = f"http://127.0.0.1:{self._listener.getsockname()[1]}/img"

    def start(self) -> None:
        """Serve, in threads that do not keep the process alive."""
        threading.stack_size(256 * 1024)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        buffer = b""
        with connection:
            try:
                while data := connection.recv(65536):
                    buffer += data
                    while (end := buffer.find(b"\r\n\r\n")) >= 0:
                        self._answer(connection, buffer[:end])
                        if b"connection: close" in buffer[:end].lower():
                            return
                        buffer = buffer[end + 4 :]
            except OSError:
                return  # the client has gone

    def _answer(self, connection: socket.socket, request: bytes) -> None:
        found = _REQUEST.match(request)
        if not found:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        start = self._pictures.head(int(found[2]))
        head = b'HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\nETag: "%b"\r\n\r\n' % (
            self._pictures.size,
            found[2],
        )
        if found[1] == b"HEAD":
            connection.sendall(head)
            return
        self._served()
        connection.send(head + start, _MORE)
        connection.sendfile(self._tail, 0, len(self._pictures.tail))


def _file(data: bytes) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as the process
    file.write(data)
    file.flush()
    return file
