#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A small service under observation: counters, gauges, a histogram, and a gauge that
comes and goes. usage: exporter.py HOST:PORT"""
import http.server
import math
import random
import sys
import threading
import time

PATHS = ("/", "/cart", "/checkout", "/search")
METHODS = ("GET", "POST")
CODES = ("200", "404", "500")
ROOMS = {"cellar": 8.5, "hall": 19.25, "attic": 27.75}
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Service:
    """What is counted; advanced to the present by each scrape."""

    def __init__(self):
        self.random = random.Random(7)
        self.requests = {}
        self.buckets = {path: [0] * (len(BOUNDS) + 1) for path in PATHS}
        self.seconds = dict.fromkeys(PATHS, 0.0)
        self.started = time.time()
        self.lock = threading.Lock()

    def serve_some(self):
        for _ in range(self.random.randint(20, 60)):
            path = self.random.choice(PATHS)
            code = self.random.choices(CODES, (90, 8, 2))[0]
            key = (self.random.choice(METHODS), path, code)
            self.requests[key] = self.requests.get(key, 0) + 1
            took = self.random.lognormvariate(-3, 1)
            self.seconds[path] += took
            self.buckets[path][sum(took > bound for bound in BOUNDS)] += 1

    def exposition(self):
        with self.lock:
            self.serve_some()
            now = time.time() - self.started
            lines = ["# TYPE demo_requests_total counter"]
            for (method, path, code), count in sorted(self.requests.items()):
                lines.append(f'demo_requests_total{{method="{method}",path="{path}",'
                             f'code="{code}"}} {count}')
            lines.append("# TYPE demo_temperature_celsius gauge")
            for room, mean in ROOMS.items():
                lines.append(f'demo_temperature_celsius{{room="{room}"}} '
                             f"{mean + 3 * math.sin(now / 7 + mean)}")
            lines.append("# TYPE demo_queue_length gauge")
            lines.append(f"demo_queue_length {self.random.randint(0, 40)}")
            if int(now / 6) % 2 == 0:
                lines.append("# TYPE demo_batch_running gauge")
                lines.append('demo_batch_running{batch="nightly"} 1')
            lines.extend(self.histogram())
            return "\n".join(lines) + "\n"

    def histogram(self):
        name = "demo_latency_seconds"
        yield f"# TYPE {name} histogram"
        for path in PATHS:
            total = 0
            for bound, count in zip((*BOUNDS, "+Inf"), self.buckets[path]):
                total += count
                yield f'{name}_bucket{{path="{path}",le="{bound}"}} {total}'
            yield f'{name}_sum{{path="{path}"}} {self.seconds[path]}'
            yield f'{name}_count{{path="{path}"}} {total}'


def main():
    service = Service()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = service.exposition().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    host, port = sys.argv[1].rsplit(":", 1)
    http.server.ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
