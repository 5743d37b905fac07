"""A web server whose pages are the files of a directory, and that other files there make misbehave.

    web.py DIRECTORY

Plain HTTP on port 80 and HTTPS on port 443. `status` is what it answers in place of 200, `delay` how many seconds it
takes for that, `site.pem` its certificate and key, which are read for each connection. `answers` is about the page
`health`: `nooo` says that of every four requests for it the first one is answered by 500.
"""

import http.server
import os
import ssl
import sys
import threading
import time

DIRECTORY = sys.argv[1]


def read(name):
    try:
        with open(os.path.join(DIRECTORY, name), "rb") as file:
            return file.read()
    except OSError:
        return None


turns = {}


def refuses(path):
    """Whether it is a turn of this page to be answered by 500."""
    answers = (read("answers") or b"").strip()
    if path != "/health" or not answers:
        return False
    turn = turns.get(answers, 0)
    turns.clear()
    turns[answers] = turn + 1
    return answers[turn % len(answers)] == ord("n")


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 30

    def do_GET(self):
        time.sleep(float(read("delay") or 0))
        body = read(self.path.lstrip("/"))
        status = int(read("status") or (404 if body is None else 500 if refuses(self.path) else 200))
        body = body or b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, *_):
        """Clients that are gone are no affair of a server's."""


class Encrypted(Server):
    def get_request(self):
        connection, peer = super().get_request()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(DIRECTORY, "site.pem"))
        return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), peer


encrypted = Encrypted(("", 443), Handler)
threading.Thread(target=encrypted.serve_forever, daemon=True).start()
Server(("", 80), Handler).serve_forever()
