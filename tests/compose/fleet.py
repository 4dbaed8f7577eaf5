"""The fleet of docker-compose.yml under one project name, for ./dev compose-test.

Nothing here polls: what happens is followed in the logs and events of the engine.
"""

import json
import subprocess
import time

from commands import FOLLOW_LIMIT_S, Failure, follow, run


class Fleet:
    """Containers, networks and volumes of one compose project."""

    def __init__(self, compose, project, environment):
        self.compose_command = compose + ['-p', project]
        self.project = project
        self.environment = environment

    def compose(self, *args):
        return run(self.compose_command + list(args), env=self.environment)

    def ids(self, service):
        """Of its containers, running or not; by the labels that both versions of compose set."""
        return run(['docker', 'ps', '--all', '--quiet', '--no-trunc',
                    '--filter', f'label=com.docker.compose.project={self.project}',
                    '--filter', f'label=com.docker.compose.service={service}']).split()

    def id(self, service):
        found = self.ids(service)
        if len(found) != 1:
            raise Failure(f'service {service} has {len(found)} containers, not 1')
        return found[0]

    def up(self, scale):
        flags = [flag for service, n in scale.items() for flag in ('--scale', f'{service}={n}')]
        self.compose('up', '--detach', *flags)

    def down(self):
        self.compose('down', '--volumes', '--remove-orphans', '--timeout', '5')

    def left_over(self):
        """What `down` has left of the project."""
        label = ['--filter', f'label=com.docker.compose.project={self.project}']
        return [f'{kind} {name}' for kind, command in
                (('container', ['ps', '--all']), ('volume', ['volume', 'ls']),
                 ('network', ['network', 'ls']))
                for name in run(['docker'] + command + ['--quiet'] + label).split()]

    def inspect(self, container):
        return json.loads(run(['docker', 'inspect', container]))[0]

    def wait_for_line(self, container, *parts):
        """Until its log has a line with all of these."""
        for line in follow(['docker', 'logs', '--follow', container]):
            if all(part in line for part in parts):
                return line
        raise Failure(f'the container {container[:12]} ended before it said {" ... ".join(parts)}')

    def wait_until_healthy(self, containers):
        since_s = int(time.time()) - 1  # what changes between the look and the first event counts
        waiting = {c for c in containers
                   if self.inspect(c)['State']['Health']['Status'] != 'healthy'}
        events = follow(['docker', 'events', '--since', str(since_s), '--filter', 'type=container',
                         '--filter', 'event=health_status',
                         '--format', '{{.ID}} {{.Status}}'])
        while waiting:
            container, _, status = next(events).strip().partition(' ')
            if status.endswith(': healthy'):
                waiting.discard(container)
        events.close()

    def job_events(self):
        """What `fedwatt watch --json` tells, until the job has ended."""
        job = self.id('job')
        self.wait_for_line(job, 'job compose-')
        for line in follow(['docker', 'exec', job, 'fedwatt', 'watch', 'compose', '--json'],
                           errors=subprocess.DEVNULL):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise Failure(f'fedwatt watch said: {line.strip()}') from error

    def wait_for_job(self):
        """Its container's exit code."""
        return int(run(['docker', 'wait', self.id('job')], timeout=FOLLOW_LIMIT_S))

    def kill_and_start(self, container):
        run(['docker', 'kill', '--signal', 'KILL', container])
        run(['docker', 'start', container])

    def copy_out(self, container, path, to):
        run(['docker', 'cp', f'{container}:{path}', str(to)])

    def save_logs(self, folder):
        for line in run(['docker', 'ps', '--all', '--format', '{{.ID}} {{.Names}}', '--filter',
                         f'label=com.docker.compose.project={self.project}']).splitlines():
            container, name = line.split()
            with open(folder / f'{name}.log', 'w', encoding='utf-8') as log:
                subprocess.run(['docker', 'logs', container], stdout=log,
                               stderr=subprocess.STDOUT, check=False)
