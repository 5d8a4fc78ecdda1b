"""A proxy on a real socket that leads every host to a test's own servers: no name is looked up."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjy2POn06WrlTGlS6
OezPNSgMH0kpP0wPgIR59Y5eNzehRANCAATBBPjjwuGmisra3CPrEpwcVQN9nFlE
DdtQ6RWFFPJ08tx8iFFmJNplZNEl8nXph/qpZNn6dE3xwICXTBXpONj/
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBujCCAV+gAwIBAgIUNtIbOC6hUztdye+Idu2yN1YmBGEwCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPYXBpLmV4YW1wbGUuY29tMCAXDTI2MTEyNjAwMDM0M1oYDzIx
MjYxMTAyMDAwMzQzWjAaMRgwFgYDVQQDDA9hcGkuZXhhbXBsZS5jb20wWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAATBBPjjwuGmisra3CPrEpwcVQN9nFlEDdtQ6RWF
FPJ08tx8iFFmJNplZNEl8nXph/qpZNn6dE3xwICXTBXpONj/o4GAMH4wHQYDVR0O
BBYEFA184Hmq3BTfJKF11tcvNcIW4+pSMB8GA1UdIwQYMBaAFA184Hmq3BTfJKF1
1tcvNcIW4+pSMA8GA1UdEwEB/wQFMAMBAf8wKwYDVR0RBCQwIoIPYXBpLmV4YW1w
bGUuY29tgg9jZG4uZXhhbXBsZS5jb20wCgYIKoZIzj0EAwIDSQAwRgIhAJQgoJ5j
HLyPp45dElrANQ7VYEc3kC/a1ay1XP2EoYGcAiEAv4/KOE2d6qRsp2on4GF5xvBz
2HKfSkAquYFneIzXju8=
-----END CERTIFICATE-----
"""
"""Of api.example.com and cdn.example.com, signed by itself, with its key; good for a hundred years."""


@dataclass
class Proxy:
    """Passes requests and tunnels on.

    Attributes:
        port: Where it listens.
        ports: Where each `host:port` that it is asked for really is; another one is answered with 502.
        asked: The first line of each request.
        heads: All that came before the tunnel or the body.
        password: The value of `Proxy-Authorization` without which it answers 407; None for no such rule.
    """

    ports: dict[str, int] = field(default_factory=dict)
    password: str | None = None
    port: int = 0
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, _, fields = head.partition("\r\n")
        method, target, version = first.split(" ")
        self.asked.append(f"{method} {target}")
        self.heads.append(head)
        place = target if method == "CONNECT" else target.partition("://")[2].partition("/")[0] + ":80"
        if self.password is not None and f"Proxy-Authorization: {self.password}" not in head:
            await _refuse(writer, "407 Proxy Authentication Required")
            return
        if place not in self.ports:
            await _refuse(writer, "502 Bad Gateway")
            return
        inner, onward = await asyncio.open_connection("127.0.0.1", self.ports[place])
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            path = "/" + target.partition("://")[2].partition("/")[2]
            onward.write(f"{method} {path} {version}\r\n{fields}".encode())
        async with asyncio.TaskGroup() as group:
            group.create_task(_pass_on(reader, onward))
            group.create_task(_pass_on(inner, writer))


async def _refuse(writer: asyncio.StreamWriter, status: str) -> None:
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def proxying(*, password: str | None = None, **ports: int) -> AsyncIterator[Proxy]:
    """A proxy; `ports` are of hosts, with `_` for dots, on 80 and 443 alike."""
    named = {f"{host.replace('_', '.')}:{port}": real for host, real in ports.items() for port in (80, 443)}
    proxy = Proxy(named, password)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await server.wait_closed()


def tls(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """What a TLS server of `CERTIFICATE` needs, and the file of the certificate alone, to be trusted."""
    whole, trusted = folder / "server.pem", folder / "trusted.pem"
    whole.write_text(CERTIFICATE)
    trusted.write_text(CERTIFICATE[CERTIFICATE.index("-----BEGIN CERTIFICATE") :])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(whole)
    return context, trusted
