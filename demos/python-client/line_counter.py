"""Lets the server of `npm run demo:server` count the lines of a local file: python3 line_counter.py FILE [URL]"""
import asyncio, sys
import netref

class TextFile:
    """A file that the server reads by reference."""

    def __init__(self, path):
        self._file = open(path, encoding='utf-8')

    def readlines(self, hint):
        return [line.rstrip('\n') for line in self._file.readlines(hint)]

async def main(path, url='ws://127.0.0.1:18861'):
    async with await netref.connect(url) as session:
        count = await session.root.line_counter(TextFile(path), lambda line: print('Noisy:', line))
        print(f'The server counted {count} lines.')

asyncio.run(main(*sys.argv[1:]))
