"""A client of the netref protocol, version 1, written from spec/PROTOCOL.md with asyncio and `websockets`.

It leaves out byte ranges, tables, cycles, dates, streams and cancellation. A peer may use the public members of what it was
given.
"""
import asyncio, contextlib, inspect, itertools, json, math, random, re, weakref
import websockets

LIMITS = {'jsonBytes': 4 << 20, 'frameBytes': 16 << 20, 'depth': 200, 'values': 10_000}
HELLO, CALL, GET, PING, RESULT, ERROR, REFUSED, RELEASE, ONEWAY, TRACED = 0, 1, 2, 8, 10, 11, 12, 13, 14, 30
OPERATIONS, STREAMS, LOSS = {*range(1, 10), *range(14, 18)}, set('irwpa'), {'connection-lost', 'unreachable', 'unavailable'}
SIMPLE = {'undefined': lambda _: None, 'number': float, 'bigint': int, 'm': dict, 's': set, 'URL': str}

class ProtocolError(Exception): pass

class RemoteError(Exception):
    """An error that the peer has thrown, the refusal of a call, or the end of the session, by its `code`."""
    def __init__(self, message, name='Error', code=None):
        super().__init__(message)
        self.name, self.code = name, code

class Ref:
    """An object or function of the peer, or a path from one: `await ref.a.b(x)` calls, `await ref.a.b` reads."""

    def __init__(self, session, id, name, path=(), base=None):
        self._session, self._id, self._name, self._path, self._base = session, id, name, path, base or self

    def __getattr__(self, name):
        if name.startswith('__'): raise AttributeError(name)
        return Ref(self._session, self._id, self._name, (*self._path, name), self._base)

    def __call__(self, *args):
        return self._session.request(CALL, self, list(args))

    def __await__(self):
        return self._session.request(GET, self).__await__()

def release(ref):
    """Gives a reference back; later use of it is an error. The garbage collector does so, too."""
    entry = ref._session.imports.get(ref._id)
    if entry and entry[0]() is ref:
        entry[2]()
        ref._id = None

class Session:
    """One session with a server; the socket below it may break."""
    def __init__(self, url):
        self.url, self.root = url, Ref(self, 0, 'root')
        self.exports, self.export_ids = {}, {}      # ref -> [object, count]; id(object) -> ref
        self.imports, self.pending = {}, {}         # ref -> [weak Ref, [count], finalizer]; call id -> Future
        self.answers = {}                           # the peer's call id -> [Future, frame of the reply]
        self.end, self.resumptions = None, 0        # why the session has ended
        self.ids, self.refs, self.peer_ids = itertools.count(1), itertools.count(1), itertools.count(1)
        self.outbox, self.kept = [], []             # messages; frames that are not acknowledged
        self.sent = self.acked = self.received = self.last_ack = 0
        self.resume_token, self.window, self.socket, self.is_ready = None, 0, None, False
        self.loop, self.hello, self.flush_due = asyncio.get_running_loop(), asyncio.Event(), False

    # Frames, acknowledgement and resumption: sections 1, 2, 3, 12 and 14.

    async def open(self):
        self.socket = await websockets.connect(self.url, compression=None, max_size=None, ping_interval=None)

    async def run(self):
        reason = None
        try:
            while not self.end:
                with contextlib.suppress(websockets.ConnectionClosedError):
                    async for data in self.socket:
                        self.on_frame(data)
                        self.flush()
                self.is_ready, reason = False, parse_reason(self.socket.close_reason)
                if reason or not self.resume_token or not await self.resume():
                    break
            self.finish(*(reason or ('connection-lost', 'the socket was lost')))
        except RemoteError as error:
            self.finish(error.code, str(error))
        except (ProtocolError, ValueError, LookupError, TypeError) as error:
            await self.socket.close(1002, f'protocol: it received {error}'[:100])
            self.finish('protocol', f'this side received {error}')

    async def resume(self):
        until = self.loop.time() + self.window / 1000
        while self.loop.time() < until and not self.end:
            await asyncio.sleep(random.uniform(0, 0.5))
            try:
                await self.open()
                await self.socket.send(compact(['resume', self.resume_token, self.received]))
                kind, token, received = json.loads(await self.socket.recv())
                self.acknowledged(received)
                self.resume_token, self.resumptions = token, self.resumptions + 1
                for data in self.kept:
                    await self.socket.send(data)
                self.is_ready = True
                return True
            except (OSError, websockets.InvalidHandshake, asyncio.TimeoutError):
                continue
            except websockets.ConnectionClosed:
                if reason := parse_reason(self.socket.close_reason):
                    raise RemoteError(reason[1], 'SessionEndedError', reason[0])
        return False

    def send(self, message):
        if self.end: raise self.end
        self.outbox.append(message)
        if not self.flush_due:
            self.flush_due = True
            self.loop.call_soon(self.flush)

    def flush(self):
        """Sends the messages of this tick as one frame, or an acknowledgement. A frame is kept until it is acknowledged."""
        self.flush_due = False
        if not self.is_ready or not (self.outbox or self.received > self.last_ack): return
        self.last_ack = self.received
        frame = compact([self.received, self.outbox] if self.outbox else [self.received])
        if self.outbox:
            self.outbox, self.sent = [], self.sent + 1
            self.kept.append(frame)
        self.loop.create_task(self.write(self.socket, frame))

    async def write(self, socket, frame):
        with contextlib.suppress(websockets.ConnectionClosed):      # a frame that is kept is sent again
            await socket.send(frame)

    def on_frame(self, data):
        if isinstance(data, bytes): raise ProtocolError('a binary frame, which this client does not read')
        ack, *rest = json.loads(data)
        self.acknowledged(ack)
        if rest == [1]:
            self.last_ack = -1      # a probe: the acknowledgement leaves at once
        elif rest:
            for message in rest[0]:
                self.on_message(*message)
            self.received += 1
        self.answers = {id: answer for id, answer in self.answers.items() if answer[1] is None or answer[1] > ack}

    def acknowledged(self, count):
        if not self.acked <= count <= self.sent: raise ProtocolError(f'an acknowledgement of {count} frames')
        del self.kept[:count - self.acked]
        self.acked = count

    def finish(self, code, text):
        self.end = self.end or RemoteError(f'the session has ended ({code}): {text}', 'SessionEndedError', code)
        for future in self.pending.values():
            future.done() or future.set_exception(self.end)
        for table in (self.exports, self.export_ids, self.imports, self.pending, self.answers, self.outbox, self.kept):
            table.clear()
        self.hello.set()

    async def close(self, text='close() was called'):
        self.flush()
        await asyncio.sleep(0)      # what was written last leaves first
        self.finish('closed', text)
        await self.socket.close(1000, f'closed: {text}')

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    # Calls in both directions: sections 6 to 9 and 11.

    def request(self, op, ref, args=None):
        """Sends an operation now. Returns a future of its result."""
        if ref._base._id is None:
            raise RemoteError(f'{ref._name} was released', 'ReleasedError', 'released')
        operand = [] if args is None else self.encode(args)
        if op == ONEWAY:
            return self.send([op, 0, ref._id, list(ref._path), *operand])
        id, future = next(self.ids), self.loop.create_future()
        self.send([op, id] if op == PING else [op, id, ref._id, list(ref._path), *operand])
        self.pending[id] = future
        return future

    def on_message(self, op, *rest):
        if (op == HELLO) == self.hello.is_set(): raise ProtocolError('a second hello, or another message before the hello')
        if op == HELLO:
            if rest[0] != 1: raise RemoteError(f'the server has version {rest[0]}', 'SessionEndedError', 'version')
            self.resume_token, self.window = rest[2:] or (None, 0)
            self.hello.set()
        elif op in (RESULT, ERROR, REFUSED):
            self.on_reply(op, *rest)
        elif op == RELEASE:
            for ref, count in zip(rest[::2], rest[1::2]):
                self.drop(ref, count)
        elif op == TRACED:
            self.on_message(*rest[1:])
        elif op in OPERATIONS:
            id = rest[0]
            if op != ONEWAY and id != next(self.peer_ids): raise ProtocolError(f'the call {id}')
            start, args, waits, error = None, None, [], None    # decoded now: a later release must not affect it
            try:
                args = op != PING and self.decode(*rest[3:], waits=waits)
                start = op != PING and (self.answers[-rest[1]][0] if rest[1] < 0 else self.own(rest[1]))
            except RemoteError as failure:
                error = failure
            task = self.loop.create_task(self.perform(op, start, rest[2:3], args, waits, error))
            if op != ONEWAY: self.answers[id] = [task, None]
            task.add_done_callback(lambda done: self.reply(op, id, done))   # tasks start in this order

    async def perform(self, op, start, path, args, waits, error):
        if error: raise error
        for container, key, task in waits:
            container[key] = await task
        if op == PING: return None
        member = await start if asyncio.isfuture(start) else start
        for name in [path[0]] if isinstance(path[0], str) else path[0]:
            if not isinstance(name, str) or name.startswith('_') or not hasattr(member, name):
                raise RemoteError(f'{name} is not exposed', 'Refused', 'not-exposed')
            member = getattr(member, name)
        if op == GET: return member
        if op not in (CALL, ONEWAY) or not callable(member):
            raise RemoteError('it is not a function', 'Refused', 'not-callable')
        result = member(*args)
        return await result if inspect.isawaitable(result) else result

    def reply(self, op, id, task):
        if self.end or op == ONEWAY or task.cancelled(): return
        error = task.exception()
        try:
            message = [ERROR, id, *self.encode(error)] if error else [RESULT, id, *self.encode(task.result())]
        except RemoteError as unsendable:
            message = [REFUSED, id, 'unsendable', str(unsendable)]
        if isinstance(error, RemoteError) and error.name == 'Refused':
            message = [REFUSED, id, error.code, str(error)]
        self.send(message)
        self.answers[id][1] = self.sent + 1

    def own(self, ref):
        if ref not in self.exports: raise RemoteError(f'#{ref} was released', 'Refused', 'released')
        return self.exports[ref][0]

    def drop(self, ref, count):
        self.exports[ref][1] -= count
        if self.exports[ref][1] <= 0: del self.export_ids[id_of(self.exports.pop(ref)[0])]

    def on_reply(self, op, id, value=None, extra=None):
        future = self.pending.pop(id)
        try:
            value = RemoteError(extra, 'NetrefError', value) if op == REFUSED else self.decode(value, extra)
        except RemoteError as error:
            op, value = ERROR, error
        if future.done(): return    # it was cancelled; the references of the value are collected
        if op == RESULT: future.set_result(value)
        else: future.set_exception(value if isinstance(value, Exception) else RemoteError(repr(value)))

    # Values: section 5.

    def encode(self, value):
        notes = []
        return [self.encode_part(value, [], notes), notes]

    def encode_part(self, value, path, notes):
        tag = lambda name, encoded: (notes.append([name, path]), encoded)[1]
        if value is None or isinstance(value, (str, bool)) or isinstance(value, float) and math.isfinite(value):
            return value
        if isinstance(value, int):
            return value if abs(value) < 2 ** 53 else tag('bigint', str(value))
        if isinstance(value, (list, tuple)):
            return [self.encode_part(item, [*path, i], notes) for i, item in enumerate(value)]
        if isinstance(value, dict):
            return {str(key): self.encode_part(item, [*path, str(key)], notes) for key, item in value.items()}
        if isinstance(value, Exception):
            return tag('e', {'class': 'Error', 'name': getattr(value, 'name', type(value).__name__), 'message': str(value)})
        if isinstance(value, Ref) and value._session is self and value._id is not None and not value._path:
            return tag('h', value._id)
        if isinstance(value, (Ref, set, float, bytes)):
            raise RemoteError(f'{value!r} cannot be sent', 'TypeError')
        ref = self.export_ids.get(id_of(value)) or next(self.refs)
        self.export_ids[id_of(value)] = ref
        self.exports.setdefault(ref, [value, 0])[1] += 1
        return tag('f' if callable(value) else 'o', [ref, getattr(value, '__name__', type(value).__name__)])

    def decode(self, value=None, notes=(), waits=None):
        top, slots, error = [value], [], None
        for tag, *paths in notes or ():
            for path in paths:
                container, key = top, 0
                for step in path:
                    container, key = container[key], step
                slots.append((tag, container, key))
        for tag, container, key in slots:
            try:
                container[key] = self.revive(tag, container[key])
                if tag == 'n':
                    waits.append((container, key, container[key]))
            except RemoteError as failure:      # the other references have arrived, too
                error = failure
        if error: raise error
        return top[0]

    def revive(self, tag, raw):
        tag = str(tag)
        if tag in ('o', 'f'):
            return self.arrive(raw[0], raw[1], raw[2:] != [1]) if raw[0] else self.root
        if tag in ('h', 'n'):
            return self.own(raw) if tag == 'h' else self.answers[raw][0]
        if tag == 'e': return RemoteError(raw['message'], raw['name'], raw.get('code'))
        if tag in SIMPLE: return SIMPLE[tag](raw)
        if tag in STREAMS: self.arrive(raw[0], raw[1], True)
        raise RemoteError(f'this side cannot read a {tag}', 'Refused', 'unreadable')

    def arrive(self, ref, name, counts):
        """A lent reference is not counted: its call gives it back."""
        entry = self.imports.get(ref)
        found = entry and entry[0]()
        if not found:
            found, count = Ref(self, ref, name), [0]
            entry = [weakref.ref(found), count, weakref.finalize(found, give_back, weakref.ref(self), ref, count)]
            entry[2].atexit = False
            self.imports[ref] = entry
        entry[1][0] += counts
        return found

def give_back(session, ref, count):
    session = session()
    if session and not session.end:
        if session.imports[ref][1] is count: del session.imports[ref]
        if count[0]: session.send([RELEASE, ref, count[0]])

id_of, compact = id, lambda value: json.dumps(value, separators=(',', ':'))

def parse_reason(text):
    """Why the server has closed the session; None if the socket was lost."""
    match = re.match(r'closed/([a-z][a-z0-9-]*): (.*)|([a-z-]+)(?: [\d.]+)?: (.*)', text or '', re.S)
    code, words = match and [group for group in match.groups() if group is not None] or ('', '')
    return None if not match or code in LOSS else (code, words)

async def connect(url):
    session = Session(url)
    await session.open()
    session.is_ready = True
    session.send([0, 1, LIMITS])
    session.task = session.loop.create_task(session.run())
    await session.hello.wait()
    if session.end: raise session.end
    return session
