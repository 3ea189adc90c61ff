import { expect, it } from 'vitest';
import { eventually } from './eventually.ts';
import { setAndGiveBackWeights } from './interleave-tests.ts';
import { ONCE } from './safety.ts';
import { fastNode, hotShareOf, mib, sampleNow, scenarios, slowNode } from './scenarios.ts';
import type { Stage } from './stage.ts';

const mostExposure = 3;
/** Told where the machine has no processor time left for the daemon: the probe takes it all for a moment. */
const lostEvents = /^the access trace has lost \d+ events/;

/** Of a process or a cgroup. */
interface Placed {
  readonly nodes: readonly { readonly nodeId: number; readonly sizeBytes: number }[];
}

/** The daemon as its unit confines it. It stays installed: these tests come last in a guest. */
export function serviceTests(stage: () => Stage): void {
  it('does all its work in the sandbox of its unit, which leaves little exposed', async () => {
    const { guest } = stage();
    const measured = await stage().play(
      scenarios.room,
      { untilHotShare: 0.95, timeoutMs: 120_000, watchMs: 1000 },
      () => stage().startService({ engine: 'move_pages' }),
    );
    await stage().explain(async () => {
      expect(measured.secondsTo[95]).not.toBeNull();
      const { engine } = await stage().api.status();
      expect(engine).toBe('move_pages');

      const exposure = await guest.check('systemd-analyze security --no-pager tierd | tail -n 1');
      console.log(`${guest.kernel} unit: ${exposure.trim()}`);
      expect(Number(/exposure level for tierd.service: ([\d.]+)/.exec(exposure)?.[1])).toBeLessThanOrEqual(
        mostExposure,
      );

      expect((await stage().api.send('POST', '/v1/probe')).status).toBe(200);
      const [workload] = stage().workloads;
      const order = { pid: workload?.latest.pid ?? 0, from: fastNode, to: slowNode, maxBytesPerSecond: 1024 * mib };
      await stage().api.send('POST', '/v1/pause');
      const job = await stage().api.migrate(order);
      await eventually(
        'the migration ends',
        60_000,
        async () => (await stage().api.migration(job.id)).state === 'done',
      );
      expect(hotShareOf(sampleNow(stage().workloads))).toBeLessThan(0.5);
      await stage().api.send('POST', '/v1/resume');
      await eventually('it comes back', 120_000, () => hotShareOf(sampleNow(stage().workloads)) >= 0.95);
      expect((await stage().complaints()).filter((text) => !lostEvents.test(text))).toEqual([]);
    });
  }, 600_000);

  it('tells whose memory lies where, sets interleaving and diagnoses the host, all in the sandbox', async () => {
    const { guest } = stage();
    const [hot] = await stage().place({
      name: 'survey',
      title: '',
      processes: [{ name: 'survey', hot: [{ mib: 100, node: slowNode }] }],
    });
    // What it promotes between its start and a pause would not be on the slow node any more.
    const tierd = await stage().startService({ engine: 'damos', dryRun: true });
    const slowBytes = (placed: Placed | undefined) =>
      placed?.nodes.find(({ nodeId }) => nodeId === slowNode)?.sizeBytes ?? 0;
    await stage().explain(async () => {
      await eventually('the hot memory of the workload is seen on the slow node', 60_000, async () => {
        const { processes } = await tierd.api.processes();
        const found = processes.find(({ pid }) => pid === hot?.latest.pid);
        return slowBytes(found) >= 100 * mib && (found?.hotOnSlowBytes ?? 0) >= 80 * mib;
      });
      const { cgroups, problem } = await tierd.api.cgroups();
      expect(problem).toBeUndefined();
      const holders = cgroups.filter((cgroup) => slowBytes(cgroup) >= 100 * mib);
      expect(holders.length).toBeGreaterThan(0);
      expect(Math.max(...holders.map(({ hotOnSlowBytes = 0 }) => hotOnSlowBytes))).toBeGreaterThanOrEqual(80 * mib);

      await setAndGiveBackWeights(guest, 'tierd');

      expect((await tierd.api.send('GET', '/v1/diagnosis')).status).toBe(200);
      expect(await tierd.complaints()).toEqual([]);
    });
  }, 300_000);

  it('lets the group tierd in, the group tierd-read to read, and nobody else', {
    ...ONCE,
    timeout: 180_000,
  }, async () => {
    const { guest } = stage();
    await guest.check('systemctl start tierd', { timeoutMs: 120_000 });
    const main = '/run/tierd/tierd.sock';
    const read = '/run/tierd-read/tierd.sock';
    const asNobody = (groups: string, command: string) =>
      guest.run(`setpriv --reuid=65534 --regid=65534 ${groups} ${command}`);
    const status = (socket: string) => `curl -sS --unix-socket ${socket} http://localhost/v1/status`;
    const answers = { exitCode: 0, stdout: expect.stringContaining('"state"') };
    const group = (name: string) => `--groups=$(getent group ${name} | cut -d: -f3)`;
    for (const socket of [main, read])
      expect(await asNobody('--clear-groups', status(socket))).toMatchObject({ exitCode: 7 });
    expect(await asNobody(group('tierd'), status(main))).toMatchObject(answers);
    expect(await asNobody(group('tierd-read'), status(read))).toMatchObject(answers);
    expect(await asNobody(group('tierd-read'), status(main))).toMatchObject({ exitCode: 7 });
    const pause = await asNobody(
      group('tierd-read'),
      `curl -sS -X POST --unix-socket ${read} http://localhost/v1/pause`,
    );
    expect(pause.stdout).toContain('TIERD_READ_ONLY');
    // The command line finds the way that is open to it.
    expect(await asNobody(group('tierd-read'), 'tierd status')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('engine'),
    });
    await guest.check('systemctl stop tierd');
  });

  it('keeps what was set, reads a changed file when told, and goes on with the old when that is wrong', async () => {
    const { guest } = stage();
    const curl = (request: string) => guest.check(`curl -sS --unix-socket /run/tierd/tierd.sock ${request}`);
    const key = async (name: string) => String(JSON.parse(await curl('http://t/v1/policy'))[name]);
    await guest.check('echo "engine: damos" >/etc/tierd/tierd.yaml; rm -f /var/lib/tierd/settings.json');
    await guest.check('systemctl start tierd', { timeoutMs: 120_000 });
    await curl(`-X PATCH -H 'content-type: application/json' -d '{"fastUtilization":0.77}' http://t/v1/policy`);
    await guest.check('systemctl restart tierd', { timeoutMs: 120_000 });
    expect(await key('fastUtilization')).toBe('0.77');

    await guest.check('echo "headroomMiB: 33" >>/etc/tierd/tierd.yaml; systemctl reload tierd');
    await eventually('the file counts', 20_000, async () => (await key('headroomMiB')) === '33');
    await guest.check('echo "nonsense: 1" >>/etc/tierd/tierd.yaml; systemctl reload tierd');
    await eventually('the log says what is wrong', 20_000, async () =>
      (await guest.check('journalctl --no-pager -u tierd')).includes('tierd.yaml:3: nonsense: unknown key'),
    );
    expect(await key('headroomMiB')).toBe('33');
    await eventually('systemctl status tells what it does', 40_000, async () =>
      /settled|moving/.test(await guest.check('systemctl show -P StatusText tierd')),
    );
    expect((await guest.check('systemctl show -P NRestarts -P ActiveState tierd')).trim().split('\n')).toEqual(
      expect.arrayContaining(['0', 'active']),
    );
    await guest.check('systemctl stop tierd');
    expect((await guest.check('cat /sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds')).trim()).toBe('0');
  }, 300_000);
}
