#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every kind of credentials rotated under load: no call may fail. A server that verifies
signatures knows when each key ends; keys come from a file, or from servers that behave as
those of AWS do, and live for seconds. All cases run at the same time.

usage: credentials_rotation.py <bucket_load> [<case>...]
"""
import concurrent.futures
import itertools
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from aws_account import Account  # noqa: E402
from aws_metadata import ROLE  # noqa: E402
from daemon import wait_until, write  # noqa: E402
from s3_verifier import checksum  # noqa: E402

ROTATIONS = 10
LIFE_S = 5
THREADS, PERIOD_MS = 4, 80
PART_BYTES, FILE_BYTES = 5 << 20, 6 << 20
CASE_S = 90


class Case(Account):
    """A client that loads the account's bucket."""

    def __init__(self, program, file):
        super().__init__()
        self.program, self.file = program, file
        self.settings += [f"part_size: {PART_BYTES}", "trace: {enable: true}"]
        self.process = None
        self.said = []

    def __exit__(self, kind, problem, trace):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if kind:
            log = "\n".join(line for line in self.log().splitlines()
                            if "HTTP exchange" not in line)
            print(f"the client said {self.said}, the server refused "
                  f"{list(self.verifier.log)}; the end of the log:\n{log[-3000:]}")
        super().__exit__(kind, problem, trace)

    def start(self):
        config = self.config_file()
        with open(self.path("log"), "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [self.program, config, self.file, str(THREADS), str(PERIOD_MS)],
                text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=self.environment)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            self.said.append(line.rstrip())

    def log(self):
        with open(self.path("log"), encoding="utf-8") as log:
            return log.read()

    def logged(self, text):
        return self.log().count(text)

    def has_said(self, begin):
        return any(line.startswith(begin) for line in self.said)

    def wait(self, what, condition):
        def holds():
            assert self.process.poll() is None, "the client has ended"
            return condition()

        wait_until(what, holds, CASE_S)

    def wait_for_keys(self, count=ROTATIONS + 1):
        self.wait(f"{count} keys in use", lambda: len(self.verifier.accepted) >= count)

    def finish(self, fails=0):
        """End the load. Returns what to say of it; no call has failed unless fails."""
        self.process.stdin.close()
        wait_until("the end of the load", lambda: self.has_said("calls"), CASE_S)
        assert self.process.wait(CASE_S) == 0
        calls, failures = map(int, re.findall(r"\d+", self.said[-1]))
        assert fails or (failures == 0 and len(self.said) == 1), "calls have failed"
        assert self.logged("uploads go by Content-MD5") == 0, "took a refusal of keys " \
            "for one of checksums"
        refused = dict(self.verifier.refused)
        asked = f", {self.metadata.asked} questions for them" if self.metadata else ""
        return (f"{calls} calls, {failures} failures, {sum(self.verifier.accepted.values())} "
                f"requests by {len(self.verifier.accepted)} keys{asked}, refused {refused}")

    def check_expiring(self, questions):
        """No key was used to its end, and nobody was asked all the time."""
        assert not self.verifier.refused, "keys were used after their end"
        assert self.metadata.asked <= questions * len(self.metadata.issued), \
            f"{self.metadata.asked} questions for {len(self.metadata.issued)} keys"


class Rotation:
    """Calls fn(n) with n = 1, 2, ... every second, until it is left."""

    def __init__(self, fn):
        self.fn = fn
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        number = 1
        while not self.stop.wait(1):
            self.fn(number)
            number += 1

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


# Keys that do not rotate.

def config(case):
    case.use_config()
    case.start()
    case.wait("many requests", lambda: case.verifier.accepted["AKIACONFIG"] > 500)
    assert not case.verifier.refused


def environment(case):
    case.use_environment()
    case.start()
    case.wait("many requests", lambda: case.verifier.accepted["AKIAENVIRONMENT"] > 500)
    assert not case.verifier.refused


# Keys in a file that others write.

def file_with_grace(case):
    """The old key holds for two more seconds."""
    def rotate(number):
        case.use_file(number, f"AKIAFILE{number}")
        if number > 2:
            case.verifier.revoke(f"AKIAFILE{number - 3}")

    case.use_file(0, "AKIAFILE0")
    case.start()
    with Rotation(rotate):
        case.wait_for_keys()
    assert not case.verifier.refused, "a file was not read again in time"


def check_refusals(case, *codes):
    """Some, not more than there are calls at a time; HEAD has no code to look at."""
    refused = case.verifier.refused
    assert refused and set(refused) <= set(codes), "refused for another reason"
    assert sum(refused.values()) <= 3 * THREADS * (ROTATIONS + 2), "tried again and again"


def file_without_grace(case):
    def rotate(number):
        case.use_file(number, f"AKIAFILE{number}")
        case.verifier.revoke(f"AKIAFILE{number - 1}")

    case.use_file(0, "AKIAFILE0")
    case.start()
    with Rotation(rotate):
        case.wait_for_keys()
    check_refusals(case, "InvalidAccessKeyId")


def file_with_other_token(case):
    """The same access key with another secret and another token, at once."""
    rotated = []

    def rotate(number):
        case.use_file(number, "AKIASAME")
        rotated.append(case.verifier.accepted["AKIASAME"])

    case.use_file(0, "AKIASAME")
    case.start()
    with Rotation(rotate):
        case.wait("rotations", lambda: len(rotated) > ROTATIONS and
                  case.verifier.accepted["AKIASAME"] > rotated[ROTATIONS])
    check_refusals(case, "InvalidToken", "SignatureDoesNotMatch")


def file_with_other_secret(case):
    """The same access key with another secret, at once."""
    rotated = []

    def use(number):
        case.use_file(number, "AKIASAME", "token")
        rotated.append(case.verifier.accepted["AKIASAME"])

    use(0)
    case.start()
    with Rotation(use):
        case.wait("rotations", lambda: len(rotated) > ROTATIONS and
                  case.verifier.accepted["AKIASAME"] > rotated[ROTATIONS])
    check_refusals(case, "SignatureDoesNotMatch")


# Keys that end.

def web_identity(case):
    rotate = case.use_web_identity(LIFE_S)
    case.start()
    with Rotation(rotate):
        case.wait_for_keys()
    case.check_expiring(questions=1)


def container(case):
    rotate = case.use_container(LIFE_S)
    case.start()
    with Rotation(rotate):
        case.wait_for_keys()
    case.check_expiring(questions=1)


def instance(case):
    """The next keys of the role come late: it has to be asked several times for each."""
    case.use_instance(LIFE_S, early_s=LIFE_S / 5)
    case.start()
    case.wait_for_keys()
    case.check_expiring(questions=3 * 2.5)


def instance_v1(case):
    case.use_instance(LIFE_S, early_s=LIFE_S / 2)
    case.metadata.only_v1 = True
    case.start()
    case.wait_for_keys()
    case.check_expiring(questions=3)


def profile(case):
    """aws_sdk_auth: the role of a profile in the config file."""
    case.use_web_identity(LIFE_S)
    case.settings += ["aws_sdk_auth: true"]
    for name in "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME":
        del case.environment[name]
    case.environment["AWS_PROFILE"] = "blocks"
    write(case.path(".aws/config"), f"[profile blocks]\nrole_arn = {ROLE}\n"
          f"web_identity_token_file = {case.path('token')}\n")
    case.start()
    case.wait_for_keys()
    case.check_expiring(questions=1)


# What goes wrong.

def sts_down_for_a_while(case):
    """It is back before the keys end."""
    case.use_web_identity(life_s=12)
    sts = case.metadata
    case.start()
    case.wait_for_keys(1)
    sts.is_down = True
    asked = sts.asked
    case.wait("questions in vain", lambda: sts.asked > asked + 1)
    sts.is_down = False
    case.wait_for_keys(2)
    assert not case.verifier.refused
    assert case.logged("cannot be refreshed, the old ones still hold") <= 1


def sts_down_for_long(case):
    case.use_web_identity(LIFE_S)
    case.start()
    case.wait_for_keys(1)
    case.metadata.is_down = True
    case.wait("a failure", lambda: case.has_said("fails"))
    assert "credentials of web identity" in case.said[0], case.said
    assert not case.verifier.refused, "keys were used after their end"
    case.metadata.is_down = False
    case.wait("the healing", lambda: "works" in case.said)
    begun = sum(case.verifier.accepted.values())
    case.wait("requests", lambda: sum(case.verifier.accepted.values()) > begun + 100)
    return case.finish(fails=1)


def clock(case):
    """The server's is an hour ahead of ours, and later right again."""
    text = "signed by the clock of the server"
    case.use_web_identity(LIFE_S)
    case.verifier.ahead_s = 3600
    case.start()
    case.wait_for_keys(3)
    assert case.logged(text) == 1, "the clock was not corrected once"
    case.verifier.ahead_s = 0
    used = len(case.verifier.accepted)
    case.wait_for_keys(used + 2)
    assert case.logged(text) == 2, "the clock was not corrected back once"
    assert set(case.verifier.refused) <= {"RequestTimeTooSkewed"}
    assert case.verifier.refused["RequestTimeTooSkewed"] <= 2 * THREADS + 2


CASES = (config, environment, file_with_grace, file_without_grace, file_with_other_token,
         file_with_other_secret, web_identity, container, instance, instance_v1, profile,
         sts_down_for_a_while, sts_down_for_long, clock)


def run(program, file, number):
    """In a process of its own: Python does one thing at a time."""
    begun = time.monotonic()
    try:
        with Case(program, file) as case:
            result = CASES[number](case) or case.finish()
    except Exception:
        return False, traceback.format_exc()
    return True, f"{result}; {time.monotonic() - begun:.0f} s"


def make_file(file):
    """Its checksums are remembered by the processes that begin from here on."""
    data = os.urandom(FILE_BYTES)
    file.write(data)
    file.flush()
    for part in data[:PART_BYTES], data[PART_BYTES:]:
        checksum(part)


def main(program, *names):
    numbers = [i for i, case in enumerate(CASES) if not names or case.__name__ in names]
    with tempfile.NamedTemporaryFile() as file, \
            concurrent.futures.ProcessPoolExecutor(len(numbers)) as pool:
        make_file(file)
        results = list(pool.map(run, itertools.repeat(program), itertools.repeat(file.name),
                                numbers))
    for number, (ok, text) in zip(numbers, results):
        print(f"{'ok  ' if ok else 'FAIL'} {CASES[number].__name__}: {text}")
    return 0 if all(ok for ok, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
