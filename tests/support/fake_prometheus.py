# SPDX-License-Identifier: Apache-2.0
"""What a sidecar, ours or that of Thanos, asks of a Prometheus that does not compact."""
import http.server
import json
import threading

FLAGS = {"storage.tsdb.min-block-duration": "2h", "storage.tsdb.max-block-duration": "2h",
         "web.enable-admin-api": "false"}


def answers(labels):
    """Path -> body."""
    section = "".join(f"    {name}: {value}\n" for name, value in labels.items())
    data = {"config": {"yaml": f"global:\n  external_labels:\n{section}"},
            "flags": FLAGS, "buildinfo": {"version": "3.16.0"}}
    bodies = {f"/api/v1/status/{name}": json.dumps({"status": "success", "data": one})
              for name, one in data.items()}
    bodies["/metrics"] = "prometheus_tsdb_lowest_timestamp_seconds 0\n"
    return {path: body.encode() for path, body in bodies.items()}


class FakePrometheus:
    def __init__(self, labels, snapshot=None, port=0, prefix=""):
        """snapshot: makes one and returns its name; without, there is no admin API.
        prefix is that of all paths."""
        bodies = {prefix + path: body for path, body in answers(labels).items()}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(bodies.get(self.path.partition("?")[0], b""))

            def do_POST(self):
                is_asked = self.path == "/api/v1/admin/tsdb/snapshot?skip_head=false"
                if snapshot is None or not is_asked:
                    self.answer(b"")
                    return
                name = {"status": "success", "data": {"name": snapshot()}}
                self.answer(json.dumps(name).encode())

            def answer(self, body):
                try:
                    self.send_response(200 if body else 404)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:
                    pass  # the sidecar was killed

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
