import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { kdamondPids, switchKdamond } from './damon-by-hand.ts';
import { eventually } from './eventually.ts';
import { hotShareOf, mib, sampleNow, slowNode } from './scenarios.ts';
import type { Stage } from './stage.ts';
import type { TierdProcess } from './tierd-in-guest.ts';
import { TierdService } from './tierd-in-guest.ts';

const stateDirectory = '/var/lib/tierd';
const hot = { name: 'fault', title: '', processes: [{ name: 'fault', hot: [{ mib: 100, node: slowNode }] }] };

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
        expect((await tierd.api.status()).settingsProblem).toContain('ENOSPC');
        await guest.check(`rm ${stateDirectory}/filler`);
        await eventually('it is saved', 60_000, async () => (await tierd.api.status()).settingsProblem === undefined);
        expect(await guest.check(`cat ${stateDirectory}/settings.json`)).toContain('"fastUtilization": 0.8');
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
        expect((await tierd.api.status()).settingsProblem).toContain('EROFS');
        await atWork(tierd);
        await guest.check(`mount -o remount,rw ${stateDirectory}`);
      });
      await tierd.stop();
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

  it('killed in the middle of changes it goes on with what it was told last', async () => {
    const { guest } = stage();
    const first = await stage().startTierd();
    const pids = await kdamondPids(guest);
    const told: number[] = [];
    const telling = (async () => {
      for (let share = 0.5; share < 0.9; share += 0.01) {
        const fastUtilization = Math.round(share * 100) / 100;
        const answer = await first.api.send('PATCH', '/v1/policy', { body: { fastUtilization } });
        if (answer.status === 200) told.push(fastUtilization);
      }
    })().catch(() => undefined);
    await sleep(1_500);
    await first.kill();
    await telling;
    const saved = await guest.check(`cat ${stateDirectory}/settings.json`);
    const { policy }: { policy: { fastUtilization: number } } = JSON.parse(saved);
    // The last change may have been saved and not been answered any more; none that was answered is lost.
    expect(policy.fastUtilization).toBeGreaterThanOrEqual(told.at(-1) ?? 0);

    const second = await stage().startTierd({}, '', { keepsSettings: true });
    await stage().explain(async () => {
      await atWork(second);
      expect(await kdamondPids(guest)).toEqual(pids);
      expect((await second.api.policy()).fastUtilization).toBe(policy.fastUtilization);
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
      await eventually('another process is at work', 120_000, async () => {
        const now = await service.property('MainPID');
        return now !== pid && now !== '0' && (await service.property('ActiveState')) === 'active';
      });
      expect(await service.property('NRestarts')).toBe('1');
      expect(await kdamondPids(guest)).toEqual(pids);
    });
    await service.stop();
  }, 400_000);
}
