import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { kdamondPids, killKdamondByCommit, switchKdamond } from './damon-by-hand.ts';
import { eventually } from './eventually.ts';
import { hotShareOf, mib, sampleNow, slowNode } from './scenarios.ts';
import type { Stage } from './stage.ts';
import type { TierdProcess } from './tierd-in-guest.ts';
import { TierdService } from './tierd-in-guest.ts';

const stateDirectory = '/var/lib/tierd';
const hot = { name: 'fault', title: '', processes: [{ name: 'fault', hot: [{ mib: 100, node: slowNode }] }] };

interface Told {
  readonly fastUtilization: number;
  readonly samplingIntervalMs: number;
}

/** What goes wrong under a running daemon, and that it goes on. */
export function faultTests(stage: () => Stage): void {
  const atWork = (tierd: TierdProcess) =>
    eventually('it is at work', 90_000, async () => ['moving', 'settled'].includes((await tierd.api.status()).state));
  /** New hot memory is promoted: all of the way from DAMON to the kernel's migration works. */
  const promotes = async () => {
    await stage().place(hot);
    await eventually('hot memory is promoted', 120_000, () => hotShareOf(sampleNow(stage().workloads)) >= 0.9);
    await stage().clearWorkloads();
  };

  /** Changes that the kernel has to take, the second of them with a receipt to save. */
  const commits = async (tierd: TierdProcess) => {
    for (const body of [{ monitoring: { samplingIntervalMs: 40 } }, { dryRun: true }, { dryRun: false }]) {
      expect((await tierd.api.send('PATCH', '/v1/policy', { body })).status).toBe(200);
    }
    expect((await tierd.api.policy()).monitoring.samplingIntervalMs).toBe(40);
  };

  it('a kdamond that somebody switches off is switched on again', async () => {
    const tierd = await stage().startTierd();
    await stage().explain(async () => {
      await switchKdamond(stage().guest, 'off');
      expect(await kdamondPids(stage().guest)).toHaveLength(1);
      await eventually('both watch again', 90_000, async () => (await kdamondPids(stage().guest)).length === 2);
      await atWork(tierd);
      await promotes();
      expect(tierd.exited).toBe(false);
    });
  }, 400_000);

  it('a kdamond that dies, switched off by nobody, is started again, and the others go on', async () => {
    const { guest } = stage();
    const tierd = await stage().startTierd();
    await stage().explain(async () => {
      const [first, second] = await kdamondPids(guest);
      await killKdamondByCommit(guest, 0);
      await eventually('both watch again', 90_000, async () => {
        const pids = await kdamondPids(guest);
        return pids.length === 2 && !pids.includes(first ?? 0) && pids.includes(second ?? 0);
      });
      expect(await tierd.complaints()).toContainEqual(
        expect.stringMatching(/kdamond 0 .*(is off|went off during commit)/),
      );
      await atWork(tierd);
      await promotes();
      expect(tierd.exited).toBe(false);
    });
  }, 400_000);

  it('a write that the kernel refuses is told, and it recovers by itself', async () => {
    const { guest } = stage();
    const tierd = await stage().startTierd();
    await guest.check('mount -o remount,ro /sys');
    try {
      const refused = await tierd.api.send('PATCH', '/v1/policy', { body: { monitoring: { samplingIntervalMs: 40 } } });
      expect(refused.status).toBe(503);
      expect(refused.text).toContain('EROFS');
      expect((await tierd.api.policy()).monitoring.samplingIntervalMs).toBe(50);
    } finally {
      await guest.check('mount -o remount,rw /sys');
    }
    await stage().explain(async () => {
      await atWork(tierd);
      await promotes();
      expect(tierd.exited).toBe(false);
    });
  }, 400_000);

  it('a full disk does not stop it, is told, and what was set is saved when there is room', async () => {
    const { guest } = stage();
    await guest.check(`mkdir -p ${stateDirectory} && mount -t tmpfs -o size=256k tmpfs ${stateDirectory}`);
    try {
      const tierd = await stage().startTierd();
      await stage().explain(async () => {
        await guest.run(`dd if=/dev/zero of=${stateDirectory}/filler bs=4k`);
        const told = await guest.check(
          `curl -si --unix-socket /run/tierd/tierd.sock -X PATCH -H 'content-type: application/json' -d '{"fastUtilization":0.8}' http://t/v1/policy`,
        );
        expect(told).toMatch(/^HTTP\/1.1 200 /);
        expect(told).toMatch(/^tierd-warning: in force, but not saved: ENOSPC/im);
        await commits(tierd);
        const { settingsProblem, receiptProblem } = await tierd.api.status();
        expect(settingsProblem).toContain('ENOSPC');
        expect(receiptProblem).toMatch(/ENOSPC.*somebody else's/);
        await promotes();
        await guest.check(`rm ${stateDirectory}/filler`);
        await eventually('all is saved', 90_000, async () => {
          const status = await tierd.api.status();
          return status.settingsProblem === undefined && status.receiptProblem === undefined;
        });
        expect(await guest.check(`cat ${stateDirectory}/settings.json`)).toContain('"fastUtilization": 0.8');
        const complaints = await tierd.complaints();
        expect(complaints.filter((text) => text.includes('the receipt of what runs in DAMON'))).toHaveLength(1);
      });
      await tierd.stop();
    } finally {
      await stage().clear();
      await guest.check(`umount ${stateDirectory}`);
    }
  }, 300_000);

  it('a state directory that turns read-only does not stop it', async () => {
    const { guest } = stage();
    await guest.check(`mkdir -p ${stateDirectory} && mount -t tmpfs -o size=256k tmpfs ${stateDirectory}`);
    try {
      const tierd = await stage().startTierd();
      await stage().explain(async () => {
        await guest.check(`mount -o remount,ro ${stateDirectory}`);
        await tierd.api.patchPolicy({ fastUtilization: 0.8 });
        await commits(tierd);
        const { settingsProblem, receiptProblem } = await tierd.api.status();
        expect(settingsProblem).toContain('EROFS');
        expect(receiptProblem).toContain('EROFS');
        await promotes();
        await atWork(tierd);
        // Killed it is started again on the same disk, and knows its kdamonds by the receipt that is there.
        const pids = await kdamondPids(guest);
        await tierd.kill();
        const next = await stage().startTierd({}, '', { keepsSettings: true });
        await atWork(next);
        expect(await kdamondPids(guest)).toEqual(pids);
        await next.stop();
        expect(await kdamondPids(guest)).toEqual([]);
        const refused = await stage().launchTierd({}, '', { keepsSettings: true });
        expect(await refused.exitCode()).toBe(73);
        expect((await guest.check('cat /sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds')).trim()).toBe('0');
      });
    } finally {
      await stage().clear();
      await guest.check(`umount ${stateDirectory}`);
    }
  }, 300_000);

  it('a cgroup in scope that is deleted is no error, and counts again when it is back', async () => {
    const { guest } = stage();
    await guest.check('mkdir -p /sys/fs/cgroup/fault');
    const tierd = await stage().startTierd({ cgroups: { include: ['/fault'] } });
    await stage().explain(async () => {
      await guest.check('rmdir /sys/fs/cgroup/fault');
      await sleep(12_000);
      await atWork(tierd);
      await guest.check('mkdir /sys/fs/cgroup/fault');
      const prefix = 'sh -c \'echo $$ >/sys/fs/cgroup/fault/cgroup.procs; exec "$@"\' sh';
      const processes = [{ name: 'scoped', hot: [{ mib: 50, node: slowNode }], prefix }];
      await stage().place({ name: 'scoped', title: '', processes });
      await eventually('its memory is promoted', 120_000, () => hotShareOf(sampleNow(stage().workloads)) >= 0.9);
      await stage().clearWorkloads();
    });
  }, 400_000);

  it('a clock that jumps a day ahead and back changes nothing', async () => {
    const { guest } = stage();
    const tierd = await stage().startTierd();
    await stage().explain(async () => {
      const { promotedBytes } = await tierd.api.status();
      await guest.check('date -s "+1 day"');
      await sleep(3_000);
      await atWork(tierd);
      await guest.check('date -s "-1 day"');
      await promotes();
      expect((await tierd.api.status()).promotedBytes - promotedBytes).toBeGreaterThanOrEqual(80 * mib);
    });
  }, 400_000);

  it('killed in the middle of a commit it goes on with what it was told last', async () => {
    const { guest } = stage();
    const first = await stage().startTierd();
    const pids = await kdamondPids(guest);
    const asked: Told[] = [];
    const answered: Told[] = [];
    const telling = (async () => {
      for (let step = 0; step < 200; step += 1) {
        // The sampling interval is one that the kernel has to take, unlike a target while nothing needs to move.
        const told = { fastUtilization: 0.5 + step / 500, samplingIntervalMs: step % 2 === 0 ? 40 : 50 };
        asked.push(told);
        const { fastUtilization, samplingIntervalMs } = told;
        const body = { fastUtilization, monitoring: { samplingIntervalMs } };
        if ((await first.api.send('PATCH', '/v1/policy', { body })).status === 200) answered.push(told);
      }
    })().catch(() => undefined);
    await eventually('some changes are through', 60_000, () => answered.length >= 3);
    await first.kill();
    await telling;
    // One was on its way to the kernel.
    expect(asked.length).toBe(answered.length + 1);
    const saved = await guest.check(`cat ${stateDirectory}/settings.json`);
    const { policy }: { policy: { fastUtilization: number; monitoring: { samplingIntervalMs: number } } } =
      JSON.parse(saved);
    const last = { fastUtilization: policy.fastUtilization, samplingIntervalMs: policy.monitoring.samplingIntervalMs };
    // The change under way may have been saved and not been answered any more; none that was answered is lost.
    expect([answered.at(-1), asked.at(-1)]).toContainEqual(last);

    const second = await stage().startTierd({}, '', { keepsSettings: true });
    await stage().explain(async () => {
      await atWork(second);
      expect(await kdamondPids(guest)).toEqual(pids);
      expect((await second.api.policy()).fastUtilization).toBe(last.fastUtilization);
      const interval = await guest.check(
        'cat /sys/kernel/mm/damon/admin/kdamonds/[01]/contexts/0/monitoring_attrs/intervals/sample_us',
      );
      expect(interval.trim().split('\n')).toEqual(new Array(2).fill(String(last.samplingIntervalMs * 1000)));
      await second.stop();
      expect(await kdamondPids(guest)).toEqual([]);
    });
  }, 300_000);

  it('is restarted by systemd when the kernel kills it for want of memory, and goes on with its kdamonds', async () => {
    const { guest } = stage();
    await guest.check('mkdir -p /etc/tierd && echo "{}" >/etc/tierd/tierd.yaml');
    const service = await TierdService.start(guest);
    await stage().explain(async () => {
      const pids = await kdamondPids(guest);
      const pid = await service.property('MainPID');
      await guest.check(`echo 1000 >/proc/${pid}/oom_score_adj && echo f >/proc/sysrq-trigger`);
      await service.waitForSuccessor(pid);
      expect(await service.property('NRestarts')).toBe('1');
      expect(await kdamondPids(guest)).toEqual(pids);
    });
    await service.stop();
  }, 400_000);
}
