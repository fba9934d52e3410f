"""receiver - an HTTP server that takes webhooks, checks their signatures, and answers as a test wants"""
import base64
import hashlib
import hmac
import http.server
import json
import threading


class Delivery:
    """One request as it came."""

    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body
        self.id = headers["webhook-id"]
        self.timestamp = int(headers["webhook-timestamp"])
        self.signatures = headers["webhook-signature"].split(" ")

    def json(self):
        return json.loads(self.body)

    def signed_by(self, secret):
        """Is one of the signatures that of this secret?  Written from the specification alone."""
        assert secret.startswith("whsec_")
        text = f"{self.id}.{self.timestamp}.".encode() + self.body
        digest = hmac.new(base64.b64decode(secret[6:], validate=True), text, hashlib.sha256).digest()
        return "v1," + base64.b64encode(digest).decode() in self.signatures


class Receiver:
    """answers: {path: [status, ...]}, the last one for good; "hang" waits until the end; 200 for other paths."""

    def __init__(self, **answers):
        self.answers = {f"/{path}": list(wanted) for path, wanted in answers.items()}
        self.deliveries, self.lock, self.end = [], threading.Lock(), threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = receiver.take(Delivery(self.path, self.headers, body))
                if answer == "hang":
                    receiver.end.wait(120)
                    return
                self.send_response(answer)
                if answer in (301, 307):
                    self.send_header("Location", receiver.url("elsewhere"))
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path="ok"):
        return f"http://127.0.0.1:{self.server.server_port}/{path}"

    def take(self, delivery):
        with self.lock:
            self.deliveries.append(delivery)
            wanted = self.answers.get(delivery.path, [200])
            return wanted.pop(0) if len(wanted) > 1 else wanted[0]

    def got(self, path="ok"):
        with self.lock:
            return [delivery for delivery in self.deliveries if delivery.path == f"/{path}"]

    def close(self):
        self.end.set()
        self.server.shutdown()
        self.server.server_close()
