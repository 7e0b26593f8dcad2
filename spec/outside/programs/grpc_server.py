"""A server of Python's grpcio. It prints its port, and what happens to its calls."""
import sys
import time
from concurrent import futures

import grpc
import library_pb2 as pb
import library_pb2_grpc as rpc


def say(text):
    print(text, flush=True)


class Library(rpc.LibraryServicer):
    def add(self, request, context):
        return pb.Number(value=request.x + request.y)

    def Greet(self, request, context):
        last = request.last_name if request.HasField('last_name') else 'Unknown'
        return pb.Text(text=f'Hello {request.first_name} {last}')

    def echo(self, request, context):
        return request

    def nothing(self, request, context):
        return pb.Nothing()

    def who(self, request, context):
        metadata = dict(context.invocation_metadata())
        return pb.Text(text=f"{metadata['authorization']} {metadata['key-bin'].hex()}")

    def fail(self, request, context):
        context.set_trailing_metadata([('why', 'a reason'), ('key-bin', b'\x01\x02')])
        context.abort(grpc.StatusCode.NOT_FOUND, request.text)

    def wait(self, request, context):
        context.add_callback(lambda: say('wait has ended'))
        say('waits')
        while context.is_active():
            time.sleep(0.01)
        return pb.Text()

    def count(self, request, context):
        context.add_callback(lambda: say('count has ended'))
        for n in range(request.count):
            yield pb.Count(count=n + 1)

    def total(self, request_iterator, context):
        total = 0
        for number in request_iterator:
            total += number.value
            if total > 100:
                break
        return pb.Number(value=total)

    def shout(self, request_iterator, context):
        for line in request_iterator:
            yield pb.Text(text=line.text.upper())


server = grpc.server(futures.ThreadPoolExecutor(8))
rpc.add_LibraryServicer_to_server(Library(), server)
say(server.add_insecure_port('127.0.0.1:0'))
server.start()
sys.stdin.read()
