# SPDX-License-Identifier: MIT
"""An HTTP server that misbehaves, on demand of the path; and one that says what it saw.

  bad_server.py FIFO    writes "PORT FULL_PORT\n" to FIFO once it listens, and ends when its standard input does

FULL_PORT belongs to a socket that takes no more connections: connecting to it hangs.
"""
import asyncio
import json
import os
import socket
import struct
import sys
from urllib.parse import parse_qs, unquote, urlsplit

events = {}      # name -> asyncio.Event
accepted = 0     # connections so far
open_now = set() # writers


def event(kind, name):
    return events.setdefault((kind, name), asyncio.Event())


def reply(body=b"", status="200 OK", headers=()):
    if isinstance(body, str):
        body = body.encode()
    lines = ["HTTP/1.1 " + status, "Content-Length: %d" % len(body), *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Request:
    def __init__(self, head, reader, writer):
        lines = head.decode("latin-1").split("\r\n")
        self.method, target, _ = lines[0].split(" ", 2)
        parts = urlsplit(target)
        self.target, self.path = target, parts.path
        self.query = {k: v[-1] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        self.headers = [line.split(": ", 1) if ": " in line else [line.rstrip(":"), ""] for line in lines[1:] if line]
        self.reader, self.writer = reader, writer

    def header(self, name):
        return next((v for k, v in self.headers if k.lower() == name), None)

    async def body(self):
        if self.header("transfer-encoding"):
            return b""
        return await self.reader.readexactly(int(self.header("content-length") or 0))

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()


async def forever(request):
    await request.reader.read()  # until the client goes


async def echo(r):
    body = await r.body()
    seen = {"method": r.method, "target": r.target, "headers": r.headers, "body": body.decode("latin-1")}
    await r.send(reply(json.dumps(seen), headers=["Content-Type: application/json"]))


async def silent(r):
    name = r.query.get("id", "")
    event("reached", name).set()
    try:
        await forever(r)
    finally:
        event("gone", name).set()


async def await_event(r):
    kind, name = r.path[1:].split("/")
    await event(kind, name).wait()
    await r.send(reply(kind))


async def reset(r):
    await r.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npartial")
    r.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    r.writer.transport.abort()
    return True


async def short(r):
    await r.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789")
    return True


async def long(r):
    await r.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n" + b"0123456789" * 10)
    return True


async def drip(r):
    event("reached", r.query.get("id", "")).set()
    await r.send(CHUNKED)
    while True:
        await r.send(chunk(b"x"))
        await asyncio.sleep(0.05)


async def gated(r):
    """One chunk, then another for each release."""
    name = r.query["id"]
    await r.send(CHUNKED + chunk(b"first"))
    await event("release", name).wait()
    await r.send(chunk(b"second") + chunk(b""))


async def release(r):
    event("release", r.query["id"]).set()
    await r.send(reply())


async def endless_headers(r):
    await r.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await r.send(b"X-Header: " + b"x" * 1000 + b"\r\n")


async def endless_interim(r):
    while True:
        await r.send(b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 1000 + b"\r\n\r\n")


async def bad_chunks(r):
    await r.send(CHUNKED + b"zzz\r\nnonsense\r\n")
    return True


async def cut_chunks(r):
    await r.send(CHUNKED + b"ff\r\nonly this")
    return True


async def endless(r):
    await r.send(CHUNKED)
    block = chunk(b"x" * 65536)
    while True:
        await r.send(block)


async def close(r):
    return True


async def garbage(r):
    await r.send(b"\x15\x03\x01\x00\x02\x02\x16 this is not HTTP\r\n\r\n")
    return True


async def redirect(r):
    """Status ?code, to ?to. The body of the request is read."""
    await r.body()
    await r.send(reply(b"moved", r.query.get("code", "302") + " Found", ["Location: " + unquote(r.query["to"])]))


async def redirect_with_endless_body(r):
    await r.send(b"HTTP/1.1 302 Found\r\nLocation: /echo\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await r.send(chunk(b"x" * 65536))


async def loop(r):
    await r.send(reply(b"", "302 Found", ["Location: /loop"]))


async def odd_cookies(r):
    await r.send(reply(b"", headers=[
        "Set-Cookie: plain=1",
        "Set-Cookie: spaced = a b ; Path=/",
        "Set-Cookie: empty=",
        "Set-Cookie: =nameless",
        "Set-Cookie: ",
        "Set-Cookie: elsewhere=1; Domain=example.com",
        "Set-Cookie: gone=1; Max-Age=0",
        "Set-Cookie: strict=1; Secure; HttpOnly",
        "Set-Cookie: path=1; Path=/other",
    ]))


async def status(r):
    await r.send(reply(b"body", r.query["code"] + " " + r.query.get("reason", "Reason")))


async def flaky(r):
    """The first request of each ?id fails."""
    seen = event("seen", r.query["id"])
    await r.send(reply(b"at last") if seen.is_set() else reply(b"", "503 Busy"))
    seen.set()


async def once(r):
    """Answers the first request of each ?id, and is silent to those that follow."""
    seen = event("seen", r.query["id"])
    if seen.is_set():
        await silent(r)
    seen.set()
    await r.send(reply(b"once"))


async def fickle(r):
    """Answers one request of each connection, and closes it instead of answering the second."""
    if hasattr(r.writer, "has_answered"):
        return True
    r.writer.has_answered = True
    await r.send(reply(b"fickle"))


async def slow_body(r):
    """Does not read the body that is sent."""
    event("reached", r.query.get("id", "")).set()
    r.writer.transport.pause_reading()
    await asyncio.sleep(3600)


async def headers(r):
    await r.send(b"HTTP/1.1 200 OK\r\nX-One: 1\r\nx-one: 2\r\nX-Empty:\r\nX-Folded: a\r\n  b\r\nX-Space:   padded  \r\n"
                 b"Content-Length: 0\r\n\r\n")


async def no_length(r):
    await r.send(b"HTTP/1.0 200\r\n\r\nuntil the end")
    return True


async def digest(r):
    if r.header("authorization") is None:
        await r.send(reply(b"who?", "401 Unauthorized", ['WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"']))
    else:
        await echo(r)


async def counts(r):
    await r.send(reply(json.dumps({"accepted": accepted, "open": len(open_now)})))


ROUTES = {
    "/echo": echo, "/silent": silent, "/reset": reset, "/short": short, "/long": long, "/drip": drip, "/gated": gated,
    "/release": release, "/endless-headers": endless_headers, "/endless-interim": endless_interim,
    "/bad-chunks": bad_chunks, "/cut-chunks": cut_chunks, "/endless": endless, "/close": close, "/garbage": garbage,
    "/redirect": redirect, "/redirect-endless": redirect_with_endless_body, "/loop": loop, "/odd-cookies": odd_cookies,
    "/once": once,
    "/status": status, "/slow-body": slow_body, "/headers": headers, "/no-length": no_length, "/counts": counts,
    "/digest": digest, "/flaky": flaky, "/fickle": fickle,
}


async def serve(reader, writer):
    global accepted
    accepted += 1
    open_now.add(writer)
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            request = Request(head[:-4], reader, writer)
            route = ROUTES.get(request.path) or (await_event if request.path.count("/") == 2 else None)
            if route is None:
                await request.send(reply(b"", "404 Not Found"))
            elif await route(request):
                break
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
        pass
    finally:
        open_now.discard(writer)
        writer.close()


def full_socket():
    """A listening socket whose queue is full, and the connections that fill it."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(8):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    return listener, fillers


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    full = full_socket()
    with open(sys.argv[1], "w") as fifo:
        fifo.write("%d %d\n" % (server.sockets[0].getsockname()[1], full[0].getsockname()[1]))
    await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, sys.stdin.read), 300)
    os._exit(0)  # what is still going on is not worth a word


asyncio.run(main())
