# SPDX-License-Identifier: Apache-2.0
"""Tell fault_proxy.py what is to go wrong."""
import socket


class FaultControl:
    def __init__(self, address):
        host, port = address.split(":")
        self.stream = socket.create_connection((host, int(port))).makefile("rw")

    def tell(self, command):
        self.stream.write(command + "\n")
        self.stream.flush()
        return self.stream.readline().strip()

    def stats(self):
        """How often each fault has struck, and the number of requests."""
        return {name: int(count) for name, count in
                (word.split("=") for word in self.tell("stats").split())}
