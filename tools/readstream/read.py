#!/usr/bin/env python3
"""Read an event store without its library. docs/format.md describes what this program reads.

    python3 read.py STORE                      list the streams of the store
    python3 read.py STORE DATABASE:TYPE:ID     print the events of a stream

STORE is a SQLite file, or redis://[user:password@]host[:port][/db] for a Redis that is no cluster.
If keys begin with the id of an app and ||, as Dapr makes them by default, name it with --prefix.
Each line of the output is a JSON object. What is damaged ends the output, with exit status 1.
"""

import argparse, base64, json, re, socket, sqlite3, sys, urllib.parse

CHUNK = 500  # keys that are read at a time


class Failure(Exception):
    pass


def crc32c_table():
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        yield n


TABLE = list(crc32c_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def text(escaped):
    return urllib.parse.unquote_to_bytes(escaped).decode("utf-8", "backslashreplace")


def parse(data, kind, stream):
    """Checks a record, and returns its fields, as pairs of bytes and text, and its body."""
    line, newline, rest = data.partition(b"\n")
    words = line.split(b" ")
    if not newline or len(words) != 3 or not words[0].startswith(b"eventstore/"):
        raise Failure("it was not written by this event store")
    if words[0] != b"eventstore/1":
        raise Failure(f"it has format {words[0].decode()!r}, but this program reads 'eventstore/1'")
    if words[1] != kind.encode():
        raise Failure(f"it is a record of kind {words[1].decode()!r}, not {kind!r}")
    if not re.fullmatch(rb"[0-9a-f]{8}", words[2]) or int(words[2], 16) != crc32c(rest):
        raise Failure(f"the checksum {words[2].decode(errors='replace')!r} does not match")
    header, blank, body = rest.partition(b"\n\n")
    pairs = [line.partition(b"=") for line in header.split(b"\n")]
    if not blank or not all(equals for _, equals, _ in pairs):
        raise Failure("its header is not complete")
    if [value for name, _, value in pairs if name == b"stream"] != [stream.encode()]:
        raise Failure("it belongs to another stream")
    return [(name, text(value)) for name, _, value in pairs if name != b"stream"], body


def parse_event(data, stream, version):
    fields, payload = parse(data, "event", stream)
    event = {"stream": stream}
    for name, value in fields:
        if name in (b"version", b"schema"):
            event[name.decode()] = int(value)
        elif name == b"scope":
            event.setdefault("scopes", []).append(value)
        elif name.startswith(b"custom."):
            event.setdefault("custom", {})[text(name[len(b"custom."):])] = value
        else:
            event[name.decode()] = value
    if event.get("version") != version or not event.get("commit") or not event.get("type"):
        raise Failure("it holds another version, or lacks its commit or type")
    try:
        event["payload"] = payload.decode()
    except UnicodeDecodeError:
        event["payload_base64"] = base64.b64encode(payload).decode()
    return event


class Head:
    def __init__(self, data, stream):
        fields, body = parse(data, "head", stream)
        head = dict(fields)
        self.version, self.first = int(head[b"version"]), int(head[b"first"])
        if head.get(b"state", "closed") not in ("closed", "deleted"):
            raise Failure(f"this program does not know the state {head[b'state']!r}")
        self.tail, start = {}, 0
        for version, length in (value.split(" ")[:2] for name, value in fields if name == b"tail"):
            self.tail[int(version)] = body[start:start + int(length)]
            start += int(length)
        if start != len(body):
            raise Failure("its tail is not complete")


class Reader:
    def __init__(self, store, stream):
        self.store, self.stream = store, stream

    def key(self, rest):
        return f"{{{self.stream}}}:{rest}"

    def head(self):
        data = self.store.get([self.key("head")])[0]
        return at(self.key("head"), Head, data, self.stream) if data is not None else None

    def events(self):
        head = self.head()
        if head is None:
            others = self.store.get([self.key("1"), self.key("snapshots")])
            head = self.head()  # the stream may have begun in between
            if head is None and any(other is not None for other in others):
                raise Failure(f"{self.key('head')}: it is missing, but the stream is not empty")
            if head is None:
                raise Failure(f"there is no stream {self.stream}")
        for start in range(head.first, head.version + 1, CHUNK):
            versions = range(start, min(start + CHUNK, head.version + 1))
            own = [version for version in versions if version not in head.tail]
            found = dict(zip(own, self.store.get([self.key(version) for version in own])))
            for version in versions:
                try:
                    yield self.event(version, head.tail.get(version) or found[version])
                except Failure:  # damaged or missing, at the first look
                    yield self.again(version)

    def again(self, version):
        """Reads an event after a new read of the head. What is still wrong then is damaged."""
        head = self.head()
        if head is None or version < head.first:
            raise Failure(f"the stream {self.stream} was deleted while it was read")
        data = head.tail.get(version) or self.store.get([self.key(version)])[0]
        return self.event(version, data)

    def event(self, version, data):
        if data is None:
            raise Failure(f"{self.key(version)} is missing, but the event is committed")
        return at(self.key(version), parse_event, data, self.stream, version)


def at(key, parser, *args):
    try:
        return parser(*args)
    except (Failure, KeyError, ValueError) as error:
        raise Failure(f"{key} is damaged: {error}") from error


def streams(store):
    """Lists the streams of the catalogue, in the order in which they began."""
    root = store.get(["{:feed}:journals"])[0]
    if root is None:
        raise Failure("the store has no feed, so it has no list of its streams")
    fields, _ = at("{:feed}:journals", parse, root, "journals", ":feed")
    log = ":feed:" + urllib.parse.quote(dict(fields)[b"feed"], safe="")
    number = 0
    while (page := store.get([f"{{{log}}}:names:{number}"])[0]) is not None:
        for name, value in at(f"{{{log}}}:names:{number}", parse, page, "names", log)[0]:
            if name == b"begun":
                position, began, stream = value.split(" ")[:3]
                yield {"stream": stream, "position": int(position), "began": int(began)}
        number += 1


class SQLite:
    def __init__(self, path, prefix):
        self.db = sqlite3.connect(f"file:{urllib.parse.quote(path)}?mode=ro", uri=True)
        self.prefix = prefix

    def get(self, keys):
        return [self.one(self.prefix + key) for key in keys]

    def one(self, key):
        row = self.db.execute("SELECT value, is_binary FROM state WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        return base64.b64decode(row[0], validate=True) if row[1] else row[0].encode()


class Redis:
    def __init__(self, url, prefix):
        self.prefix = prefix
        self.socket = socket.create_connection((url.hostname, url.port or 6379), timeout=30)
        self.file = self.socket.makefile("rb")
        if url.password is not None:
            user = [urllib.parse.unquote(url.username)] if url.username else []
            self.ask([["AUTH", *user, urllib.parse.unquote(url.password)]])
        self.ask([["SELECT", url.path.strip("/") or "0"]])

    def get(self, keys):
        return self.ask([["HGET", self.prefix + key, "data"] for key in keys])

    def ask(self, commands):
        request = b""
        for command in commands:
            words = [word.encode() for word in command]
            request += b"*%d\r\n" % len(words)
            request += b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        self.socket.sendall(request)
        return [self.answer() for _ in commands]

    def answer(self):
        line = self.file.readline().rstrip(b"\r\n")
        if line[:1] in (b"+", b":"):
            return line[1:]
        if line[:1] != b"$":
            raise Failure(f"Redis: {line[1:].decode(errors='replace') or 'the connection ended'}")
        length = int(line[1:])
        return self.file.read(length + 2)[:length] if length >= 0 else None


def main():
    usage = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    usage.add_argument("store")
    usage.add_argument("stream", nargs="?")
    usage.add_argument("--prefix", help="what the keys have before ||: the id of an app")
    args = usage.parse_intermixed_args()
    prefix = f"{args.prefix}||" if args.prefix else ""
    url = urllib.parse.urlsplit(args.store)
    try:
        store = Redis(url, prefix) if url.scheme == "redis" else SQLite(args.store, prefix)
        for line in Reader(store, args.stream).events() if args.stream else streams(store):
            print(json.dumps(line))
    except (Failure, OSError, sqlite3.Error) as error:
        sys.exit(f"read.py: {error}")


if __name__ == "__main__":
    main()
