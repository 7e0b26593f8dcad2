"""What spec/outside/python-client.spec.ts has the Python client do."""
import asyncio, gc, sys
import netref

class Lines:
    def __init__(self, lines):
        self.lines = lines

    def readlines(self):
        return self.lines

async def code_of(call):
    try:
        await call
    except netref.RemoteError as error:
        return error.name, error.code, str(error)

async def main(url):
    session = await netref.connect(url)
    root = session.root
    assert await root.add(2, 3) == 5

    heard = []
    assert await root.count(Lines(['one', 'two']), heard.append) == 2
    assert heard == ['one', 'two'], heard

    async def shout(text):
        await asyncio.sleep(0)
        return text.upper()
    await root.keep(shout)
    assert await root.shout('hello') == 'HELLO'
    assert len(session.exports) == 1, session.exports
    await root.forget()
    await session.request(netref.PING, root)
    assert session.exports == {} and session.export_ids == {}, session.exports

    mine = Lines([])
    assert await root.same(mine) is mine        # the original comes home
    file = await root.open('a.txt')
    assert await root.same(file) is file
    assert await file.title == 'a.txt'
    assert len(session.imports) == 1
    netref.release(file)
    assert session.imports == {}
    file = await root.open('b.txt')
    del file                                    # the garbage collector gives it back
    await asyncio.sleep(0)                      # until then the event loop holds the result
    gc.collect()
    assert session.imports == {}

    assert await code_of(root.fail()) == ('RangeError', 'far', 'too far')
    assert (await code_of(root.secret()))[1] == 'not-exposed'

    def broken(text):
        raise ValueError(f'no {text}')
    await root.keep(broken)
    assert await code_of(root.shout('x')) == ('ValueError', None, 'no x')
    await root.forget()

    print('cut me', flush=True)
    total = rounds = 0
    while session.resumptions < 3:
        total = await root.add(total, 1)
        heard.clear()
        assert await root.count(Lines(list('abc')), heard.append) == 3 and heard == list('abc'), heard
        rounds += 1
        assert total == rounds, total       # each call has run once
    print(f'done after {session.resumptions} resumptions', flush=True)
    await session.close()

asyncio.run(main(sys.argv[1]))
