"""The proxy that makes a server seem further away passes on what it gets, in order and to the end."""

from __future__ import annotations

import socket
import threading

from bench.distance import delayed

MUCH = bytes(range(256)) * 4096


def test_all_of_it_arrives_in_order_and_an_end_is_passed_on() -> None:
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo() -> None:
            connection, _ = server.accept()
            with connection:
                while part := connection.recv(65536):
                    heard.extend(part)
                    connection.sendall(part)

        thread = threading.Thread(target=echo)
        thread.start()
        with delayed(server.getsockname()[1], 0.02) as port, socket.create_connection(("127.0.0.1", port)) as near:
            near.settimeout(30)
            sender = threading.Thread(target=near.sendall, args=(MUCH,))
            sender.start()
            back = bytearray()
            while len(back) < len(MUCH):
                back.extend(near.recv(65536))
            sender.join()
            near.close()
            thread.join(30)
    assert back == heard == MUCH and not thread.is_alive()
