"""A Docker engine for ./dev compose-test: the one that answers, or one of our own.

Our own is a dockerd with its data in a folder of this repository's build folder. It needs root, and
no network but apt's mirror: its base image is made by mmdebstrap, nothing is pulled.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from commands import Failure, follow

START_LIMIT_S = 60
STOP_LIMIT_S = 60


class NoEngine(Exception):
    """No engine can be had here; says why, and what to do about it."""


def docker_answers():
    return bool(shutil.which('docker')) and subprocess.run(
        ['docker', 'info', '--format', '{{.ServerErrors}}'], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, check=False).returncode == 0


def compose_command():
    """The second version as a plug-in of docker, or whichever docker-compose is."""
    if subprocess.run(['docker', 'compose', 'version'], stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return ['docker', 'compose']
    if shutil.which('docker-compose'):
        return ['docker-compose']
    raise NoEngine('there is neither `docker compose` nor docker-compose; '
                   '`./dev setup --compose` installs one')


def check():
    """NoEngine if the start is known to fail: before anything long begins."""
    if not shutil.which('docker'):
        raise NoEngine('there is no docker; `./dev setup --compose` installs it')
    compose_command()
    if docker_answers():
        return
    if 'DOCKER_HOST' in os.environ:
        raise NoEngine(f"nothing answers at DOCKER_HOST={os.environ['DOCKER_HOST']}; start it, or "
                       'unset the variable')
    if os.geteuid() != 0:
        raise NoEngine('no Docker engine answers, and starting one takes root; start Docker, join '
                       'its group, name it in DOCKER_HOST, or run this as root')
    for program, use in (('dockerd', 'start an engine'), ('mmdebstrap', 'make its base image')):
        if not shutil.which(program):
            raise NoEngine(f'no Docker engine answers, and there is no {program} to {use}; '
                           '`./dev setup --compose` installs it')


class Engine:
    """Call Start() once, Stop() in any case. DOCKER_HOST is set between them where it is our own."""

    def __init__(self, folder):
        self.data = pathlib.Path(folder).resolve() / 'engine'
        self.pid_file = pathlib.Path(folder).resolve() / 'engine.pid'
        self.log = pathlib.Path(folder).resolve() / 'logs/dockerd.log'
        self.daemon = None
        self.run_dir = None

    @property
    def own(self):
        return self.daemon is not None

    def start(self):
        check()
        if docker_answers():
            return
        self._end_previous()
        # Sockets' paths are limited to 108 bytes: not below the build folder.
        self.run_dir = pathlib.Path(tempfile.mkdtemp(prefix='fedwatt-engine-'))
        self.data.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        host = f'unix://{self.run_dir}/docker.sock'
        # In a session of its own: Ctrl-C is for us, who still need it to tidy up. Without a default
        # bridge: compose has networks of its own, and images are built on the host's.
        with self.log.open('w', encoding='utf-8') as log:
            self.daemon = subprocess.Popen(
                ['dockerd', '--data-root', str(self.data), '--exec-root', f'{self.run_dir}/exec',
                 '--pidfile', str(self.pid_file), '--host', host, '--bridge', 'none'],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self._wait_until_it_listens()
        os.environ['DOCKER_HOST'] = host
        if not docker_answers():
            raise NoEngine(f'dockerd started and does not answer; its log is {self.log}')

    def _end_previous(self):
        """Ends the engine of a run that was told to keep it, or that could not end it any more."""
        try:
            pid = int(self.pid_file.read_text(encoding='utf-8'))
            command = pathlib.Path(f'/proc/{pid}/cmdline').read_text(encoding='utf-8').split('\0')
        except (OSError, ValueError):
            return
        if str(self.data) not in command:
            return  # another process has this number by now
        os.kill(pid, signal.SIGTERM)
        subprocess.run(['tail', '--follow', f'--pid={pid}', '/dev/null'], check=True,
                       timeout=STOP_LIMIT_S)
        remove_run_dir(pathlib.Path(command[command.index('--exec-root') + 1]).parent)

    def _wait_until_it_listens(self):
        # Ends with the daemon.
        lines = follow(['tail', '--follow', '--lines=+1', f'--pid={self.daemon.pid}',
                        str(self.log)], START_LIMIT_S)
        try:
            if any('API listen on' in line for line in lines):
                return
        except Failure:
            pass
        last = self.log.read_text(encoding='utf-8').splitlines()[-3:]
        raise NoEngine('dockerd does not start here; its last words are\n  ' + '\n  '.join(last))

    def ensure_base_image(self, image, release, note):
        """Makes the base image for an engine of our own; others may pull it."""
        if not self.own or subprocess.run(['docker', 'image', 'inspect', image],
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                          check=False).returncode == 0:
            return
        note(f'making the base image {image}')
        with tempfile.TemporaryDirectory(prefix='fedwatt-base-') as folder:
            tar = f'{folder}/base.tar'
            subprocess.run(['mmdebstrap', '--quiet', '--variant=minbase'] + slim_options() +
                           [release, tar] + apt_sources(), check=True, env=apt_environment())
            subprocess.run(['docker', 'import', tar, image], check=True,
                           stdout=subprocess.DEVNULL)

    def check_containers_run(self, image):
        """NoEngine where a dockerd starts and its containers do not, as in some sandboxes."""
        done = subprocess.run(['docker', 'run', '--rm', '--network', 'none', image, 'true'],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if done.returncode != 0:
            raise NoEngine('the engine cannot run containers here: ' + done.stdout.strip())

    def stop(self):
        if self.daemon is None:
            return
        self.daemon.send_signal(signal.SIGTERM)
        try:
            self.daemon.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        os.environ.pop('DOCKER_HOST', None)
        remove_run_dir(self.run_dir)
        self.daemon = None

    def remove_data(self):
        """After stop(): images and their cache."""
        shutil.rmtree(self.data, ignore_errors=True)


def remove_run_dir(folder):
    # dockerd leaves the mount of its network namespace behind.
    for mount in (folder / 'exec/netns').glob('*'):
        subprocess.run(['umount', str(mount)], stderr=subprocess.DEVNULL, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def slim_options():
    """What Debian's own -slim images leave out."""
    paths = ('/usr/share/man/*', '/usr/share/info/*', '/usr/share/locale/*', '/usr/share/groff/*',
             '/usr/share/lintian/*', '/usr/share/doc/*')
    return [f'--dpkgopt=path-exclude={path}' for path in paths] + [
        '--dpkgopt=path-include=/usr/share/doc/*/copyright']


def apt_sources():
    """The host's own mirror of Debian, not what else it installs from."""
    for path in ('/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'):
        if os.path.exists(path):
            return [path]
    return []


def apt_proxy():
    done = subprocess.run(['apt-config', 'shell', 'proxy', 'Acquire::http::Proxy'],
                          stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip().removeprefix("proxy='").removesuffix("'") or os.environ.get(
        'http_proxy', '')


def apt_environment():
    """With apt's proxy, where the host has one."""
    return dict(os.environ, **({'http_proxy': apt_proxy()} if apt_proxy() else {}))
