import { describe, expect, it } from 'vitest';
import { kdamondPids, killKdamondByCommit, switchKdamond } from './damon-by-hand.ts';
import { decidesAgain } from './decisions.ts';
import { eventually } from './eventually.ts';
import { ONCE } from './safety.ts';
import { hotShareOf, mib, sampleNow, slowNode } from './scenarios.ts';
import type { Stage } from './stage.ts';
import type { TierdProcess } from './tierd-in-guest.ts';
import { TierdService } from './tierd-in-guest.ts';

const stateDirectory = '/var/lib/tierd';
/** Of the kdamonds of both nodes. */
const sampleFiles = '/sys/kernel/mm/damon/admin/kdamonds/[01]/contexts/0/monitoring_attrs/intervals/sample_us';
const hot = { name: 'fault', title: '', processes: [{ name: 'fault', hot: [{ mib: 100, node: slowNode }] }] };

interface FaultOptions {
  /** On some kernels a kdamond dies of a commit that it does not like; others refuse that. */
  readonly diesOfCommit: boolean;
}

/** What goes wrong under a running daemon, and that it goes on. */
export function faultTests(stage: () => Stage, options: FaultOptions): void {
  describe('when something goes wrong', ONCE, () => testFaults(stage, options));
}

function testFaults(stage: () => Stage, { diesOfCommit }: FaultOptions): void {
  const firstIsAnother = (first = 0, second = 0) =>
    eventually('both watch again', 90_000, async () => {
      const pids = await kdamondPids(stage().guest);
      return pids.length === 2 && !pids.includes(first) && pids.includes(second);
    });
  /** New hot memory is promoted: all of the way from DAMON to the kernel's migration works. */
  const promotes = async () => {
    await stage().place(hot);
    await eventually('hot memory is promoted', 120_000, () => hotShareOf(sampleNow(stage().workloads)) >= 0.9);
    await stage().clearWorkloads();
  };

  /** Changes that the kernel has to take, the second of them with a receipt to save. */
  const commits = async (tierd: TierdProcess) => {
    for (const body of [{ monitoring: { samplingIntervalMs: 40 } }, { dryRun: true }, { dryRun: false }]) {
      await tierd.api.patchPolicy(body);
    }
    expect((await tierd.api.policy()).monitoring.samplingIntervalMs).toBe(40);
  };

  it('a kdamond that somebody switches off is switched on again', async () => {
    const tierd = await stage().startTierd();
    await stage().explain(async () => {
      const { guest } = stage();
      const [first, second] = await kdamondPids(guest);
      await switchKdamond(guest, 'off');
      await firstIsAnother(first, second);
      await decidesAgain(tierd);
      await promotes();
      expect(tierd.exited).toBe(false);
    });
  }, 400_000);

  it.runIf(diesOfCommit)(
    'a kdamond that dies, switched off by nobody, is started again, and the others go on',
    async () => {
      const { guest } = stage();
      const tierd = await stage().startTierd();
      await stage().explain(async () => {
        const [first, second] = await kdamondPids(guest);
        await killKdamondByCommit(guest, 0);
        await firstIsAnother(first, second);
        expect(await tierd.complaints()).toContainEqual(
          expect.stringMatching(/kdamond 0 .*(is off|went off during commit)/),
        );
        await decidesAgain(tierd);
        await promotes();
        expect(tierd.exited).toBe(false);
      });
    },
    400_000,
  );

  it('a write that the kernel refuses is told, and it recovers by itself', async () => {
    const { guest } = stage();
    const tierd = await stage().startTierd();
    const before = await tierd.api.policy();
    // It is busy while the daemon writes to it.
    await eventually(
      '/sys is read-only',
      30_000,
      async () => (await guest.run('mount -o remount,ro /sys')).exitCode === 0,
    );
    try {
      const refused = await tierd.api.send('PATCH', '/v1/policy', { body: { monitoring: { samplingIntervalMs: 40 } } });
      expect(refused.status).toBe(503);
      expect(refused.text).toContain('EROFS');
      expect(await tierd.api.policy()).toEqual(before);
    } finally {
      await guest.check('mount -o remount,rw /sys');
    }
    await stage().explain(async () => {
      await decidesAgain(tierd);
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
        expect(told).toMatch(/^tierd-warning: in force, but not saved: .*ENOSPC/im);
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
        await decidesAgain(tierd);
        // Killed it is started again on the same disk, and knows its kdamonds by the receipt that is there.
        const pids = await kdamondPids(guest);
        await tierd.kill();
        const next = await stage().startTierd({}, '', { keepsSettings: true });
        await decidesAgain(next);
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
      await eventually('it says that nothing is in scope', 60_000, async () =>
        ((await tierd.api.status()).scopeProblem ?? '').includes('/fault'),
      );
      await stage().place(hot);
      await decidesAgain(tierd);
      expect(hotShareOf(sampleNow(stage().workloads))).toBe(0);
      await stage().clearWorkloads();
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
      await decidesAgain(tierd);
      await guest.check('date -s "-1 day"');
      await promotes();
      expect((await tierd.api.status()).promotedBytes - promotedBytes).toBeGreaterThanOrEqual(80 * mib);
    });
  }, 400_000);

  it('killed in the middle of a commit it goes on with all that it has answered, and every kdamond is as the policy says', async () => {
    const { guest } = stage();
    // A commit waits for the end of an aggregation: long enough to be hit.
    const config = { monitoring: { samplingIntervalMs: 50, aggregationIntervalMs: 5_000 } };
    const first = await stage().startTierd(config);
    const pids = await kdamondPids(guest);
    await first.api.patchPolicy({ fastUtilization: 0.8 });
    let isAnswered = false;
    const changing = first.api
      .send('PATCH', '/v1/policy', { body: { monitoring: { samplingIntervalMs: 40 } } })
      .then(() => {
        isAnswered = true;
      })
      .catch(() => undefined);
    // Written is a moment before the commit: then it is under way.
    await guest.check(
      `for _ in $(seq 600); do grep -qx 40000 ${sampleFiles} && kill -KILL ${first.pid} && exit 0; sleep 0.1; done; exit 1`,
      { timeoutMs: 120_000 },
    );
    await first.exitCode();
    await changing;
    expect(isAnswered).toBe(false);
    expect(await kdamondPids(guest)).toEqual(pids);

    const second = await stage().startTierd(config, '', { keepsSettings: true });
    await stage().explain(async () => {
      await decidesAgain(second);
      expect(await kdamondPids(guest)).toEqual(pids);
      const { fastUtilization, monitoring } = await second.api.policy();
      expect(fastUtilization).toBe(0.8);
      // Nobody was told that the last change was made.
      expect([50, 40]).toContain(monitoring.samplingIntervalMs);
      const sampleUs = String(Number(monitoring.samplingIntervalMs) * 1000);
      expect((await guest.check(`cat ${sampleFiles}`)).trim().split('\n')).toEqual([sampleUs, sampleUs]);
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
      await decidesAgain(service);
      expect(await kdamondPids(guest)).toEqual(pids);
    });
    await service.stop();
  }, 400_000);
}
