"""Commands that ./dev compose-test starts, and what it waits for in their output."""

import subprocess
import threading

FOLLOW_LIMIT_S = 420


class Failure(Exception):
    """A step did not do what it has to; says which and how."""


def run(command, **options):
    """The standard output; Failure with the end of its words if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False, **options)
    if done.returncode != 0:
        words = '\n  '.join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise Failure(f'`{" ".join(map(str, command))}` ended with {done.returncode}:\n  {words}')
    return done.stdout


def follow(command, limit_s=FOLLOW_LIMIT_S, errors=subprocess.STDOUT):
    """Lines of a command as they come, those for errors among them. Ends with it, or kills it: when the caller stops reading, or
    with a Failure after so long."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    late = threading.Event()

    def give_up():
        late.set()
        process.kill()

    timer = threading.Timer(limit_s, give_up)
    timer.start()
    try:
        yield from process.stdout
        if late.is_set():
            raise Failure(f'`{" ".join(command)}`: what was waited for did not happen in {limit_s} s')
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
