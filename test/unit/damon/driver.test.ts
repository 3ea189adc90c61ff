import { describe, expect, test } from 'vitest';
import type { DamonDriverOptions } from '../../../tiering/damon/driver.ts';
import { DamonDriver } from '../../../tiering/damon/driver.ts';
import type { Receipt } from '../../../tiering/damon/receipt.ts';
import { parseReceipt, serializeReceipt } from '../../../tiering/damon/receipt.ts';
import { kdamond, scheme, withBudget } from './desired.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeDamon } from './fake-damon.ts';

const ROOT = '/sys/kernel/mm/damon/admin/kdamonds';
const STAT = '/sys/module/damon_stat/parameters/enabled';

const NOTHING_LEFT = { leftOn: [], failures: [] };

interface Daemon {
  readonly damon: FakeDamon;
  readonly driver: DamonDriver;
  /** What the daemon has on disk; '' after the receipt was given up. */
  readonly disk: { text: string; saves: number };
  readonly clock: FakeClock;
}

function daemon(damon: FakeDamon, options: Partial<DamonDriverOptions> = {}): Daemon {
  const disk = { text: '', saves: 0 };
  const clock = new FakeClock();
  const saveReceipt = async (receipt: Receipt | undefined): Promise<void> => {
    disk.text = receipt === undefined ? '' : serializeReceipt(receipt);
    disk.saves += 1;
  };
  return { damon, driver: new DamonDriver({ sysfs: damon, saveReceipt, clock, ...options }), disk, clock };
}

async function started(kernel: '6.12' | '7.3'): Promise<Daemon> {
  const all = daemon(new FakeDamon(kernel));
  await all.driver.prepare();
  await all.driver.start([kdamond(0), kdamond(1)]);
  all.damon.writes.length = 0;
  return all;
}

/** Somebody's settings, not running. */
async function furnish(damon: FakeDamon): Promise<void> {
  await damon.write(`${ROOT}/nr_kdamonds`, '1');
  await damon.write(`${ROOT}/0/contexts/nr_contexts`, '1');
  await damon.write(`${ROOT}/0/contexts/0/operations`, 'paddr');
  await damon.write(`${ROOT}/0/contexts/0/monitoring_attrs/intervals/sample_us`, '777');
  await damon.write(`${ROOT}/0/contexts/0/schemes/nr_schemes`, '2');
  await damon.write(`${ROOT}/0/contexts/0/schemes/1/action`, 'pageout');
  await damon.write(`${ROOT}/0/contexts/0/schemes/1/filters/nr_filters`, '1');
  await damon.write(`${ROOT}/0/contexts/0/schemes/1/filters/0/type`, 'memcg');
}

test('what is watched to compare with comes and goes without a restart', async () => {
  const { driver, damon } = await started('7.3');
  const regions = '0/contexts/0/targets/0/regions';
  const comparedRanges = [{ start: 2 ** 40, end: 2 ** 41 }];
  expect(await driver.apply(0, kdamond(0, { comparedRanges }))).toMatchObject({ restarted: false });
  expect(damon.value(`${regions}/nr_regions`)).toBe('2');
  expect(damon.value(`${regions}/1/end`)).toBe(String(2 ** 41));
  expect(await driver.apply(0, kdamond(0))).toMatchObject({ restarted: false });
  expect(damon.value(`${regions}/nr_regions`)).toBe('1');
});

describe.each(['6.12', '7.3'] as const)('on Linux %s', (kernel) => {
  test('start makes a kdamond for each node and two spare directories', async () => {
    const { driver, damon } = await started(kernel);
    expect(damon.value('nr_kdamonds')).toBe('4');
    expect(driver.kdamonds.map(({ index, pid, desired }) => [index, pid, desired.nodeId])).toEqual([
      [0, damon.pid(0), 0],
      [1, damon.pid(1), 1],
    ]);
    expect(damon.value('0/state')).toBe('on');
    expect(damon.value('2/state')).toBe('off');
  });

  test('monitoring starts with as many regions as asked for, then the files hold the range itself', async () => {
    const all = daemon(new FakeDamon(kernel));
    await all.driver.prepare();
    await all.driver.start([kdamond(0)]);
    const { writes } = all.damon;
    const on = writes.indexOf('0/state=on');
    expect(writes.slice(0, on)).toContain('0/contexts/0/targets/0/regions/nr_regions=4');
    expect(writes.slice(on)).toContain('0/contexts/0/targets/0/regions/nr_regions=1');
    expect(all.damon.value('0/contexts/0/targets/0/regions/0/end')).toBe(String(64 * 1024 * 1024));
  });

  test('a new budget is one write and a commit', async () => {
    const { driver, damon } = await started(kernel);
    const result = await driver.apply(0, kdamond(0, { schemes: [withBudget(scheme(), 1)] }));
    expect(result).toEqual({ writes: 1, restarted: false });
    expect(damon.writes).toEqual(['0/contexts/0/schemes/0/quotas/bytes=1', '0/state=commit']);
  });

  test('nothing new is no commit', async () => {
    const { driver, damon } = await started(kernel);
    expect(await driver.apply(0, kdamond(0))).toEqual({ writes: 0, restarted: false });
    expect(damon.writes).toEqual([]);
  });

  test('stop leaves everything as it was found', async () => {
    const damon = new FakeDamon(kernel);
    await furnish(damon);
    const before = new Map(damon.files);
    const { driver, disk } = daemon(damon);
    await driver.prepare();
    await driver.start([kdamond(0)]);
    expect(await driver.stop(1_000)).toEqual(NOTHING_LEFT);
    expect(damon.files).toEqual(before);
    expect(disk.text).toBe('');
  });

  test('a kdamond that died is found by its state, and its node started again beside the others', async () => {
    const { driver, damon } = await started(kernel);
    damon.kill(0);
    expect((await driver.alive()).map(({ index, alive }) => [index, alive])).toEqual([
      [0, false],
      [1, true],
    ]);
    await expect(driver.stats(0)).rejects.toMatchObject({ code: 'TIERD_KDAMOND_DIED', index: 0 });
    expect(await driver.startOne(kdamond(0))).toMatchObject({ index: 0, pid: damon.pid(0) });
    expect(driver.kdamonds).toHaveLength(2);
  });

  test('statistics of what died are an error that says so', async () => {
    const { driver, damon } = await started(kernel);
    damon.kill(1);
    await expect(driver.stats(1)).rejects.toMatchObject({ code: 'TIERD_KDAMOND_DIED', index: 1, nodeId: 1 });
  });

  test('stopping what is off already is fine', async () => {
    const { driver, damon } = await started(kernel);
    damon.kill(1);
    expect(await driver.stop(1_000)).toEqual(NOTHING_LEFT);
  });

  test('the receipt is on disk before anything is changed', async () => {
    const damon = new FakeDamon(kernel);
    let writesAtFirstSave = -1;
    const { driver } = daemon(damon, {
      saveReceipt: async () => {
        if (writesAtFirstSave < 0) writesAtFirstSave = damon.writes.length;
      },
    });
    await driver.prepare();
    expect(writesAtFirstSave).toBe(0);
  });
});

describe('a commit that the kernel does not like', () => {
  test('on 6.12 says success and kills the kdamond: the driver notices', async () => {
    const { driver, damon } = await started('6.12');
    damon.badCommit = true;
    const change = driver.apply(0, kdamond(0, { schemes: [withBudget(scheme(), 1)] }));
    await expect(change).rejects.toMatchObject({ code: 'TIERD_KDAMOND_DIED', index: 0 });
    expect(driver.kdamonds.map(({ index }) => index)).toEqual([1]);
  });

  test('on 7.3 is refused: the old state goes on, in the files too', async () => {
    const { driver, damon } = await started('7.3');
    damon.badCommit = true;
    const change = driver.apply(0, kdamond(0, { schemes: [withBudget(scheme(), 1)] }));
    await expect(change).rejects.toMatchObject({ code: 'TIERD_DAMON_REJECTED', errno: 'EINVAL' });
    expect(damon.value('0/contexts/0/schemes/0/quotas/bytes')).toBe(String(50 * 1024 * 1024));
    expect(driver.kdamonds).toHaveLength(2);
    expect(await driver.apply(0, kdamond(0))).toEqual({ writes: 0, restarted: false });
  });
});

describe('another migration target', () => {
  const elsewhere = kdamond(0, { schemes: [scheme({ targetNid: 2 })] });

  test('is committed where commit passes it on', async () => {
    const { driver, damon } = await started('7.3');
    const pid = damon.pid(0);
    expect(await driver.apply(0, elsewhere)).toMatchObject({ restarted: false });
    expect(damon.pid(0)).toBe(pid);
  });

  test('needs a restart where commit may forget it', async () => {
    const { driver, damon } = await started('6.12');
    const pid = damon.pid(0);
    expect(await driver.apply(0, elsewhere)).toMatchObject({ restarted: true });
    expect(damon.pid(0)).not.toBe(pid);
  });
});

describe('a busy sysfs', () => {
  test('is waited for', async () => {
    const { driver, damon, clock } = await started('7.3');
    damon.busyAccesses = 5;
    await driver.stats(0);
    expect(clock.sleeps).toBe(5);
  });

  test('is given up on after the limit', async () => {
    const { driver, damon, clock } = await started('7.3');
    damon.busyAccesses = Number.POSITIVE_INFINITY;
    await expect(driver.stats(0)).rejects.toMatchObject({ code: 'TIERD_DAMON_BUSY' });
    expect(clock.nowMs()).toBeGreaterThanOrEqual(10_000);
    expect(clock.nowMs()).toBeLessThan(12_000);
  });

  test('commands wait for each other', async () => {
    const { driver, damon } = await started('7.3');
    await Promise.all([driver.stats(0), driver.apply(0, kdamond(0, { schemes: [withBudget(scheme(), 1)] }))]);
    expect(damon.writes.filter((write) => write.startsWith('0/state'))).toEqual([
      '0/state=update_schemes_stats',
      '0/state=commit',
    ]);
  });
});

describe('somebody else’s DAMON', () => {
  test('that runs is described, left alone, and how to free it is said', async () => {
    const damon = new FakeDamon('7.3');
    await furnish(damon);
    await damon.write(STAT, 'N');
    await damon.write(`${ROOT}/0/state`, 'on');
    damon.writes.length = 0;
    const { driver, disk } = daemon(damon);
    await expect(driver.prepare()).rejects.toMatchObject({
      code: 'TIERD_DAMON_FOREIGN',
      kdamonds: [
        { index: 0, pid: damon.pid(0), operations: 'paddr', actions: ['stat', 'pageout'], samplingIntervalUs: 777 },
      ],
      message: expect.stringMatching(/echo off > .*kdamonds\/0\/state.*waitForDamon: true/),
    });
    expect(damon.writes).toEqual([]);
    expect(disk.saves).toBe(0);
  });

  test.each(['damon_reclaim', 'damon_lru_sort'])('%s is not switched off', async (module) => {
    const damon = new FakeDamon('6.12');
    damon.files.set(`/sys/module/${module}/parameters/enabled`, 'Y');
    await expect(daemon(damon).driver.prepare()).rejects.toMatchObject({
      code: 'TIERD_DAMON_EXCLUSIVE',
      parameters: [`/sys/module/${module}/parameters/enabled`],
    });
  });

  test('DAMON_STAT is switched off while tierd runs, and on again afterwards', async () => {
    const { driver, damon } = await started('7.3');
    expect(damon.files.get(STAT)).toBe('N');
    expect(await driver.stop(1_000)).toEqual(NOTHING_LEFT);
    expect(damon.files.get(STAT)).toBe('Y');
  });

  test('DAMON_STAT is respected when tierd may not switch it off', async () => {
    const { driver } = daemon(new FakeDamon('7.3'), { mayStopDamonStat: false });
    await expect(driver.prepare()).rejects.toMatchObject({ code: 'TIERD_DAMON_EXCLUSIVE', parameters: [STAT] });
  });
});

describe('after tierd was killed', () => {
  test('its kdamonds go on under the next process, without a restart', async () => {
    const { damon, disk } = await started('7.3');
    const next = daemon(damon);
    const { adopted, restarted } = await next.driver.prepare(parseReceipt(disk.text));
    expect(adopted.map(({ index, pid }) => [index, pid])).toEqual([
      [0, damon.pid(0)],
      [1, damon.pid(1)],
    ]);
    expect(restarted).toEqual([]);
    expect(damon.writes).toEqual([]);
  });

  test('what was changed behind its back is put right by the next apply', async () => {
    const { damon, disk } = await started('7.3');
    await damon.write(`${ROOT}/0/contexts/0/monitoring_attrs/intervals/sample_us`, '1');
    const next = daemon(damon);
    await next.driver.prepare(parseReceipt(disk.text));
    damon.writes.length = 0;
    await next.driver.apply(0, kdamond(0));
    expect(damon.writes).toEqual(['0/contexts/0/monitoring_attrs/intervals/sample_us=50000', '0/state=commit']);
  });

  test('the next apply commits in any case, as nobody knows whether the last one did', async () => {
    const { damon, disk } = await started('7.3');
    const next = daemon(damon);
    await next.driver.prepare(parseReceipt(disk.text));
    await next.driver.apply(0, kdamond(0));
    expect(damon.writes).toEqual(['0/state=commit']);
  });

  test('only the kdamond that died meanwhile is started again', async () => {
    const { damon, disk } = await started('6.12');
    const survivor = damon.pid(1);
    damon.kill(0);
    const { adopted, restarted } = await daemon(damon).driver.prepare(parseReceipt(disk.text));
    expect(restarted).toEqual([0]);
    expect(adopted.map(({ pid }) => pid)).toEqual([damon.pid(0), survivor]);
  });

  test('in the middle of switching a kdamond on, that kdamond is still known as its own', async () => {
    const damon = new FakeDamon('7.3');
    const texts: string[] = [];
    const { driver } = daemon(damon, {
      saveReceipt: async (receipt) => {
        if (receipt !== undefined) texts.push(serializeReceipt(receipt));
      },
    });
    await driver.prepare();
    await driver.start([kdamond(0)]);
    const early = texts.map(parseReceipt).find((receipt) => receipt.kdamonds[0]?.pid === 0);
    const { adopted } = await daemon(damon).driver.prepare(early);
    expect(adopted.map(({ pid }) => pid)).toEqual([damon.pid(0)]);
  });

  test('with all kdamonds off, the receipt still knows what was there before', async () => {
    const damon = new FakeDamon('6.12');
    await furnish(damon);
    const before = damon.tree();
    const first = daemon(damon);
    await first.driver.prepare();
    await first.driver.start([kdamond(0)]);
    damon.kill(0);
    const next = daemon(damon);
    expect((await next.driver.prepare(parseReceipt(first.disk.text))).adopted).toEqual([]);
    await next.driver.start([kdamond(0)]);
    expect(await next.driver.stop(1_000)).toEqual(NOTHING_LEFT);
    expect(damon.tree()).toEqual(before);
  });

  test('a receipt of an earlier boot is ignored', async () => {
    const { damon, disk } = await started('7.3');
    damon.files.set('/proc/sys/kernel/random/boot_id', 'boot-two');
    await expect(daemon(damon).driver.prepare(parseReceipt(disk.text))).rejects.toMatchObject({
      code: 'TIERD_DAMON_FOREIGN',
    });
  });

  test('a pid that another took over is not taken for a kdamond', async () => {
    const { damon, disk } = await started('7.3');
    damon.files.set(`/proc/${damon.pid(0)}/comm`, 'bash');
    damon.files.set(`/proc/${damon.pid(1)}/comm`, 'bash');
    await expect(daemon(damon).driver.prepare(parseReceipt(disk.text))).rejects.toMatchObject({
      code: 'TIERD_DAMON_FOREIGN',
    });
  });
});

describe('the receipt', () => {
  /** Every save fails that does not have to be on disk first, or all of them. */
  function onFullDisk(damon: FakeDamon, full: { durably: boolean; soon: boolean }) {
    return daemon(damon, {
      saveReceipt: async (_, urgency = 'soon') => {
        if (full[urgency]) throw new Error('ENOSPC: no space left on device');
      },
    });
  }

  test('that cannot be saved before the first change ends the start, with nothing written now or at the end', async () => {
    const damon = new FakeDamon('7.3');
    const { driver } = onFullDisk(damon, { durably: true, soon: true });
    await expect(driver.prepare()).rejects.toThrow('ENOSPC');
    expect(await driver.stop(1_000)).toEqual(NOTHING_LEFT);
    expect(damon.writes).toEqual([]);
  });

  test('is asked for as soon as can be, not at once, from the first kdamond on', async () => {
    const urgencies: string[] = [];
    const { driver } = daemon(new FakeDamon('6.12'), {
      saveReceipt: async (_, urgency = 'soon') => void urgencies.push(urgency),
    });
    await driver.prepare();
    await driver.start([kdamond(0)]);
    await driver.apply(0, kdamond(0, { schemes: [scheme({ action: 'stat' })] }));
    await driver.stop(1_000);
    const last = urgencies.lastIndexOf('durably');
    expect(urgencies[0]).toBe('durably');
    expect(urgencies.slice(last + 1).length).toBeGreaterThanOrEqual(4);
  });

  test('of an earlier process is enough to go on with its kdamonds, though no new one can be saved', async () => {
    const { damon, disk } = await started('7.3');
    const { driver } = onFullDisk(damon, { durably: true, soon: false });
    const { adopted } = await driver.prepare(parseReceipt(disk.text));
    expect(adopted).toHaveLength(2);
  });

  test('is written again for what a kdamond is, not for intervals, patterns and budgets', async () => {
    const { driver, disk } = await started('7.3');
    const before = disk.saves;
    const pattern = { ...scheme().pattern, age: { min: 1, max: 2 } };
    await driver.apply(0, kdamond(0, { samplingIntervalUs: 40_000, schemes: [withBudget(scheme({ pattern }), 1)] }));
    expect(disk.saves).toBe(before);
    await driver.apply(0, kdamond(0, { schemes: [scheme({ action: 'stat' })] }));
    expect(disk.saves).toBe(before + 1);
    expect(parseReceipt(disk.text).kdamonds[0]?.desired.schemes[0]?.action).toBe('stat');
  });
});

describe('nodes that come and go', () => {
  test('use the spare directories without disturbing the others', async () => {
    const { driver, damon } = await started('7.3');
    const pids = [damon.pid(0), damon.pid(1)];
    expect((await driver.startOne(kdamond(2))).index).toBe(2);
    expect((await driver.startOne(kdamond(3))).index).toBe(3);
    await expect(driver.startOne(kdamond(4))).rejects.toMatchObject({ code: 'TIERD_DAMON_NO_SPARE' });
    await driver.stopOne(2);
    expect((await driver.startOne(kdamond(4))).index).toBe(2);
    expect([damon.pid(0), damon.pid(1)]).toEqual(pids);
  });

  test('a spare directory that another tool took is passed over', async () => {
    const { driver, damon } = await started('7.3');
    await damon.write(`${ROOT}/2/contexts/nr_contexts`, '1');
    await damon.write(`${ROOT}/2/contexts/0/operations`, 'paddr');
    await damon.write(`${ROOT}/2/state`, 'on');
    expect((await driver.startOne(kdamond(2))).index).toBe(3);
  });
});

const IMPOSSIBLE = kdamond(1, { schemes: [scheme({ filters: [{ type: 'young', matching: true, allow: true }] })] });

test('a kdamond that cannot start does not keep the others from it, and can be tried again', async () => {
  const damon = new FakeDamon('6.12');
  const { driver } = daemon(damon);
  await driver.prepare();
  damon.failures.push({ path: '2/state', value: 'on', errno: 'EINVAL' });
  const { running, failed } = await driver.start([kdamond(0), IMPOSSIBLE, kdamond(2), kdamond(3)]);
  expect(running.map(({ desired }) => desired.nodeId)).toEqual([0, 3]);
  expect(failed).toEqual([
    { nodeId: 1, error: expect.objectContaining({ code: 'TIERD_DAMON_UNSUPPORTED' }) },
    { nodeId: 2, error: expect.objectContaining({ code: 'TIERD_DAMON_REJECTED', errno: 'EINVAL' }) },
  ]);
  await driver.startOne(kdamond(2));
  expect(driver.kdamonds.map(({ desired }) => desired.nodeId)).toEqual([0, 2, 3]);
});

test('a start in which no kdamond starts is none', async () => {
  const damon = new FakeDamon('6.12');
  const { driver } = daemon(damon);
  await driver.prepare();
  await expect(driver.start([IMPOSSIBLE])).rejects.toMatchObject({ code: 'TIERD_DAMON_UNSUPPORTED' });
  expect(driver.kdamonds).toEqual([]);
  expect(await driver.stop(1_000)).toEqual(NOTHING_LEFT);
});

test.each([
  [undefined, 4],
  ['0-1', 4],
  ['0-7', 8],
  ['0-1023', 66],
  ['nonsense', 4],
])('of %s nodes that may come, two of them there, %i have a directory', async (possible, directories) => {
  const damon = new FakeDamon('7.3');
  if (possible !== undefined) damon.files.set('/sys/devices/system/node/possible', possible);
  const { driver } = daemon(damon);
  await driver.prepare();
  await driver.start([kdamond(0), kdamond(1)]);
  expect(damon.value('nr_kdamonds')).toBe(String(directories));
});

test("a directory of ours that another tool's kdamond runs in is neither written to nor switched off", async () => {
  const { driver, damon } = await started('7.3');
  damon.kill(0);
  await damon.write(`${ROOT}/0/state`, 'on');
  const before = damon.tree();
  damon.writes.length = 0;
  await expect(driver.apply(0, kdamond(0, { schemes: [withBudget(scheme(), 8192)] }))).rejects.toMatchObject({
    code: 'TIERD_KDAMOND_DIED',
  });
  await expect(driver.stats(0)).rejects.toMatchObject({ code: 'TIERD_KDAMOND_DIED' });
  await expect(driver.refuseForeign()).rejects.toMatchObject({ code: 'TIERD_DAMON_FOREIGN' });
  expect(damon.tree()).toEqual(before);
  // DAMON_STAT cannot be switched on again beside it, either.
  expect((await driver.stop(1_000)).failures.map(({ path }) => path)).toEqual(['nr_kdamonds', STAT]);
  expect(damon.value('0/state')).toBe('on');
});
