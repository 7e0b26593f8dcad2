"""Calls the protobuf gateway by the stub that protoc writes (Debian: protobuf-compiler, python3-protobuf).
usage: protobuf_client.py HOST PORT"""
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile

from google.protobuf import service

FAILED = 0xFFFF
FOLDER = pathlib.Path(__file__).parent.parent


class Controller(service.RpcController):
    error = None

    def Reset(self):
        self.error = None

    def Failed(self):
        return self.error is not None

    def ErrorText(self):
        return self.error

    def SetFailed(self, reason):
        self.error = reason


class Channel(service.RpcChannel):
    def __init__(self, address):
        self.file = socket.create_connection(address).makefile("rwb")

    def CallMethod(self, method, controller, request, response_class, done):
        message = request.SerializeToString()
        self.file.write(struct.pack("<IH", len(message) + 2, method.index) + message)
        self.file.flush()
        length, index = struct.unpack("<IH", self.file.read(6))
        answer = self.file.read(length - 2)
        if index == FAILED:
            controller.SetFailed(answer.decode())
            return None
        return response_class.FromString(answer)


with tempfile.TemporaryDirectory() as compiled:
    subprocess.run(["protoc", f"-I{FOLDER}", f"--python_out={compiled}", "tutorial.proto"], check=True)
    sys.path.insert(0, compiled)
    import tutorial_pb2 as tutorial

stub = tutorial.Tutorial_Stub(Channel((sys.argv[1], int(sys.argv[2]))))
controller = Controller()
print(stub.greet(controller, tutorial.Person(name="Ada")).text)
result = stub.divide(controller, tutorial.Division(dividend=17, divisor=5))
print("17 / 5 =", result.quotient, "remainder", result.remainder)
stub.divide(controller, tutorial.Division(dividend=1, divisor=0))
print("1 / 0:", controller.ErrorText())
