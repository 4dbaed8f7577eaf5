#!/usr/bin/env python3
"""Runs docker-compose.yml for real: images, a fleet over mutual TLS, three rounds, two kills.

Started by ./dev compose-test, which builds the programs first.
"""

import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import engine as engines
import result
from commands import Failure, run
from fleet import Fleet

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / 'build/compose'
PROJECT = 'fedwatt-test'
TAG = 'test'
ROUNDS = 3
# Every device in every round, so that a lost one would be missed.
SCALE = {'client': 4, 'client-mid': 2, 'client-low': 2}
GOAL = sum(SCALE.values())
PROCESSORS = {'client': 1.0, 'client-mid': 0.5, 'client-low': 0.25}

PASSED, FAILED, NO_ENGINE, INTERRUPTED = 0, 1, 4, 130

HELP = """\
usage: ./dev compose-test [--from-source] [--clean] [--keep]

Builds the images, starts docker-compose.yml with 8 devices in three classes, trains three rounds,
kills a device at work and the coordinator (SIGKILL), and checks the result; then does the same
undisturbed, which must end with the same model hash, and scales the fleet. Uses the Docker engine
that answers; without one, as root, it starts one of its own (dockerd) with its data in
build/compose/engine, and stops it at the end. Takes 5 minutes after ./dev build, 3 when repeated.

  --from-source   compiles inside the image, as `docker-compose build` does: half an hour more.
                  Without it the programs of build/release are packed into the images
  --clean         removes the images at the end, and the data of its own engine
  --keep          leaves fleet and engine running, to look at, and says how to end them
  --check         says whether an engine can be had, and ends

Exit codes: 0 passed; 1 failed; 2 wrong flags; 4 no Docker engine can be had here, nothing was
tested; 130 interrupted, everything is taken down. Logs: build/compose/logs.
Example: ./dev compose-test --clean
"""


class Progress:
    """Numbered lines with the time since the start."""

    def __init__(self):
        self.start_s = time.monotonic()
        self.passed = 0

    def note(self, text):
        print(f'compose-test {time.monotonic() - self.start_s:4.0f} s  {text}', flush=True)

    def check(self, what, holds, found=''):
        if not holds:
            raise Failure(f'{what}: {found}' if found else what)
        self.passed += 1
        self.note(f'ok  {what}')


class ComposeTest:
    def __init__(self, args):
        self.args = args
        self.progress = Progress()
        self.note = self.progress.note
        self.check = self.progress.check
        self.engine = engines.Engine(FOLDER)
        self.logs = FOLDER / 'logs'
        self.fleet = None

    # ---- images

    def build_images(self):
        release = base_release(self.args.from_source)
        base = f'debian:{release}-slim'
        self.engine.ensure_base_image(base, release, self.note)
        if self.engine.own:
            self.engine.check_containers_run(base)
        flags = ['--build-arg', f'DEBIAN={base}', '--build-arg', f'VERSION={version()}',
                 '--network', 'host']
        proxy = engines.apt_proxy()
        if proxy:
            flags += ['--build-arg', f'http_proxy={proxy}']
        if not self.args.from_source:
            run([ROOT / 'deploy/image/pack-programs.sh', ROOT / 'build/release/bin',
                 FOLDER / 'programs'])
            flags += ['--build-arg', 'PROGRAMS=build/compose/programs']
        for target in ('coordinator', 'simulation'):
            self.note(f'building the image fedwatt-{target}' +
                      (' from the sources (half an hour)' if self.args.from_source else ''))
            with (self.logs / f'build-{target}.log').open('w') as log:
                built = subprocess.run(
                    ['docker', 'build', *flags, '--target', target, '--tag',
                     f'fedwatt-{target}:{TAG}', str(ROOT)],
                    stdout=log, stderr=subprocess.STDOUT, check=False)
            if built.returncode != 0:
                raise Failure(f'the image fedwatt-{target} cannot be built; the end of {log.name}:\n'
                              '  ' + tail(pathlib.Path(log.name)))

    def check_images(self):
        for target in ('coordinator', 'simulation'):
            config = json.loads(run(['docker', 'image', 'inspect', f'fedwatt-{target}:{TAG}']))[0]
            self.note(f'fedwatt-{target}: {config["Size"] / 1e6:.0f} MB')
            self.check(f'fedwatt-{target} runs without privileges',
                       config['Config']['User'] == 'fedwatt', config['Config']['User'])
        libraries = run(['docker', 'run', '--rm', '--network', 'none', '--entrypoint', 'ldconfig',
                         f'fedwatt-coordinator:{TAG}', '-p'])
        self.check('the coordinator image is without LibTorch', 'libtorch' not in libraries)

    # ---- runs

    def start_fleet(self):
        # So patient that on a busy machine, too, a round has all of its devices.
        environment = dict(os.environ, FEDWATT_TAG=TAG, FEDWATT_ROUNDS=str(ROUNDS),
                           FEDWATT_GOAL=str(GOAL), FEDWATT_SELECTION_S='600',
                           FEDWATT_DEADLINE_S='600')
        self.fleet = Fleet(engines.compose_command(), PROJECT, environment)
        self.fleet.down()  # what a killed test has left
        self.fleet.up(SCALE)

    def kill_device(self, number):
        """One of the slowest class, while it trains."""
        device = self.fleet.ids('client-low')[0]
        identity = self.fleet.wait_for_line(device, 'device: this is').split()[-1]
        self.fleet.wait_for_line(device, 'training', f'/r{number}/')
        self.fleet.kill_and_start(device)
        self.note(f'killed the device {identity} at work in round {number}, and started it again')
        # The containers of its service are alike; its state and its certificate are not.
        self.fleet.wait_for_line(device, 'reported', f'/r{number}/')
        lives = re.findall(r'device: this is (\S+)', run(['docker', 'logs', device]))
        self.check('it came back as the same device, and reported', lives == [identity] * 2, lives)

    def disturb(self):
        """Follows the job; kills a device in round 2 and the coordinator in round 3."""
        killed = set()
        for event in self.fleet.job_events():
            current = event['job']['current']
            key = current['key']
            if current['phase'] != 'reporting' or key['evaluation']:
                continue
            if key['round'] == 2 and 'device' not in killed:
                killed.add('device')
                self.kill_device(key['round'])
            if key['round'] == 3 and current['reported'] > 0 and 'coordinator' not in killed:
                killed.add('coordinator')
                self.fleet.kill_and_start(self.fleet.id('coordinator'))
                self.note(f'killed the coordinator in round 3 with {current["reported"]} of {GOAL} '
                          'reports, and started it again')
        if killed != {'device', 'coordinator'}:
            raise Failure(f'the job ended before both were killed; killed: {sorted(killed)}')

    def finish_job(self):
        code = self.fleet.wait_for_job()
        self.check('the job ended with exit code 0', code == 0,
                   f'{code}; its last words:\n  ' + self.last_words('job'))

    def check_containers(self):
        """The limits of the classes; the health of all."""
        for service, processors in PROCESSORS.items():
            limits = {self.fleet.inspect(c)['HostConfig']['NanoCpus'] for c in self.fleet.ids(service)}
            self.check(f'{service} has {processors} processors', limits == {processors * 1e9}, limits)
        containers = [c for s in (*SCALE, 'coordinator', 'evaluator') for c in self.fleet.ids(s)]
        self.fleet.wait_until_healthy(containers)
        self.check(f'all {len(containers)} containers are healthy', True)

    def check_result(self):
        """The coordinator stopped: its database is then one file."""
        coordinator = self.fleet.id('coordinator')
        run(['docker', 'stop', coordinator])
        state = self.fleet.inspect(coordinator)['State']
        self.check('the coordinator stops when told to', state['ExitCode'] == 0, state['ExitCode'])
        self.fleet.save_logs(self.logs)
        folder = FOLDER / 'result'
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.fleet.copy_out(coordinator, '/var/lib/fedwatt/.', folder / 'data')
        self.fleet.copy_out(self.fleet.id('job'), '/results/.', folder / 'results')
        report = json.loads((folder / 'results/report.json').read_text())
        with contextlib.closing(result.open_database(folder / 'data/fedwatt.db')) as database:
            for what, check in result.checks(database, report, folder / 'results/model.pt', ROUNDS,
                                             GOAL):
                try:
                    check()
                except AssertionError as error:
                    raise Failure(f'{what}: {error}') from error
                self.check(what, True)
        return report['last']['sha256']

    def take_down(self):
        self.fleet.down()
        left = self.fleet.left_over()
        if self.engine.own:  # nobody else's can be there: nameless ones count, too
            left += run(['docker', 'volume', 'ls', '--quiet']).split()
        self.check('down --volumes leaves nothing', not left, ', '.join(left))

    def check_scaling(self, clients=8):
        self.fleet.compose('up', '--detach', '--no-deps', '--no-recreate', '--scale',
                           f'client={clients}', 'client')
        containers = self.fleet.ids('client')
        self.check(f'--scale client={clients} gives as many', len(containers) == clients,
                   len(containers))
        self.fleet.wait_until_healthy(containers)
        identities = {self.fleet.wait_for_line(c, 'device: this is') for c in containers}
        self.check('each with an identity of its own, healthy', len(identities) == clients,
                   sorted(identities))

    def run(self):
        self.logs.mkdir(parents=True, exist_ok=True)
        self.engine.start()
        self.note('a Docker engine of our own' if self.engine.own else 'the Docker engine answers')
        self.build_images()
        self.check_images()
        self.note(f'starting the fleet: {SCALE}')
        self.start_fleet()
        self.disturb()
        self.finish_job()
        self.check_containers()
        disturbed = self.check_result()
        self.take_down()
        self.note('the same again, undisturbed')
        self.start_fleet()
        self.finish_job()
        self.fleet.copy_out(self.fleet.id('job'), '/results/report.json',
                            FOLDER / 'undisturbed.json')
        report = json.loads((FOLDER / 'undisturbed.json').read_text())
        undisturbed = report['last']['sha256']
        self.check('the kills changed nothing: the same model hash', disturbed == undisturbed,
                   f'{disturbed} and {undisturbed}')
        self.check_scaling()
        if not self.args.keep:
            self.take_down()
        print(f'compose-test: {self.progress.passed} passed, 0 failed', flush=True)

    # ---- the end

    def last_words(self, service):
        words = [run(['docker', 'logs', '--tail', '8', c]) for c in self.fleet.ids(service)]
        return '\n  '.join('\n'.join(words).strip().splitlines())

    def tidy_up(self):
        """Whatever has happened before."""
        if self.fleet is not None:
            try:
                self.fleet.save_logs(self.logs)
                if not self.args.keep:
                    self.fleet.down()
            except Failure as error:
                self.note(f'taking the fleet down: {error}')
        if self.args.keep and self.fleet is not None:
            self.say_how_to_end()
            return
        if self.args.clean and not self.engine.own and shutil.which('docker'):
            for target in ('coordinator', 'simulation'):
                subprocess.run(['docker', 'image', 'rm', f'fedwatt-{target}:{TAG}'],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        self.engine.stop()
        if self.args.clean:
            self.engine.remove_data()

    def say_how_to_end(self):
        print('left running; to look at it, and to end it (as the next run will):')
        if self.engine.own:
            print(f'  export DOCKER_HOST={os.environ["DOCKER_HOST"]}')
        compose = ' '.join(self.fleet.compose_command)
        print(f'  export FEDWATT_TAG={TAG}')
        print(f'  {compose} ps')
        print(f'  {compose} down --volumes')
        if self.engine.own:
            print(f'  kill {self.engine.daemon.pid}')


def tail(path, lines=12):
    return '\n  '.join(path.read_text(encoding='utf-8').strip().splitlines()[-lines:])


def base_release(from_source):
    """The images' Debian is the host's, for the host's programs are put into them."""
    words = dict(line.split('=', 1) for line in
                 pathlib.Path('/etc/os-release').read_text(encoding='utf-8').splitlines()
                 if '=' in line)
    if words.get('ID', '').strip('"') == 'debian':
        return words['VERSION_CODENAME'].strip('"')
    if from_source:
        return 'bookworm'
    raise Failure('programs that were built on this system do not run in the images, which are of '
                  'Debian; use --from-source')


def version():
    text = (ROOT / 'common/base/version.h').read_text(encoding='utf-8')
    return re.search(r'kVersion.*"(.+)"', text).group(1)


def parse_args():
    parser = argparse.ArgumentParser(prog='./dev compose-test', usage=HELP, add_help=False)
    for flag in ('--from-source', '--clean', '--keep', '--check'):
        parser.add_argument(flag, action='store_true')
    parser.add_argument('-h', '--help', action='store_true')
    args, unknown = parser.parse_known_args()
    if args.help:
        print(HELP, end='')
        sys.exit(PASSED)
    if unknown:
        print(f'compose-test: unknown option {unknown[0]}; see --help', file=sys.stderr)
        sys.exit(2)
    return args


def interrupt(signum, frame):
    raise KeyboardInterrupt


def main():
    args = parse_args()
    try:
        engines.check()
        if args.check:
            return PASSED
    except engines.NoEngine as error:
        print(f'compose-test: {error}', file=sys.stderr)
        return NO_ENGINE
    FOLDER.mkdir(parents=True, exist_ok=True)
    lock = (FOLDER / 'lock').open('w')
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f'compose-test: another one runs in {FOLDER}; wait for it', file=sys.stderr)
        return FAILED
    signal.signal(signal.SIGTERM, interrupt)
    test = ComposeTest(args)
    code = PASSED
    try:
        test.run()
    except engines.NoEngine as error:
        print(f'compose-test: {error}', file=sys.stderr)
        code = NO_ENGINE
    except (Failure, subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f'compose-test: FAILED: {error}\n  logs: {test.logs}', file=sys.stderr)
        print(f'compose-test: {test.progress.passed} passed, 1 failed', flush=True)
        code = FAILED
    except KeyboardInterrupt:
        test.note('interrupted; taking everything down')
        code = INTERRUPTED
    finally:
        # Only kill -9 leaves something running; the next run ends that.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        test.tidy_up()
    return code


if __name__ == '__main__':
    sys.exit(main())
