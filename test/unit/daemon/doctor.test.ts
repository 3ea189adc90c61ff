import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { listenOnSocket } from '../../../api/socket.ts';
import { doctor } from '../../../daemon/doctor.ts';
import { receiptFile } from '../../../daemon/state-file.ts';
import { DamonDriver } from '../../../tiering/damon/driver.ts';
import type { Finding } from '../../../tiering/doctor/finding.ts';
import { harness } from '../api/harness.ts';
import { kdamond } from '../damon/desired.ts';
import { FakeClock } from '../damon/fake-clock.ts';
import { FakeDamon } from '../damon/fake-damon.ts';

const log = () => undefined;
const logger = { debug: log, info: log, warn: log, error: log };

let stateDirectory: string;
let damon: FakeDamon;
beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), 'tierd-doctor-'));
  damon = new FakeDamon('7.3');
});
afterEach(() => rm(stateDirectory, { recursive: true }));

/** A daemon has started two kdamonds and was killed. */
async function killedDaemon(): Promise<void> {
  const receipt = receiptFile(stateDirectory, logger);
  const driver = new DamonDriver({ sysfs: damon, saveReceipt: (value) => receipt.save(value), clock: new FakeClock() });
  await driver.prepare();
  await driver.start([kdamond(0), kdamond(1)]);
}

async function findings(socket = join(stateDirectory, 'no.sock')): Promise<readonly Finding[]> {
  let text = '';
  const write = (piece: string) => {
    text += piece;
  };
  await doctor({ json: true, socket, stateDirectory }, write, damon);
  return JSON.parse(text).findings;
}

async function finding(id: string, socket?: string): Promise<Finding | undefined> {
  return (await findings(socket)).find((candidate) => candidate.id === id);
}

describe('tierd doctor without a daemon that answers', () => {
  test("does not take tierd's own kdamonds for somebody else's", async () => {
    await killedDaemon();
    expect(await finding('kdamonds')).toMatchObject({
      severity: 'ok',
      evidence: [
        { file: expect.stringContaining('/0/pid'), value: `${damon.pid(0)}, of tierd` },
        { file: expect.stringContaining('/1/pid'), value: `${damon.pid(1)}, of tierd` },
      ],
    });
  });

  test('knows what DAMON can do from what the daemon has tried since the boot', async () => {
    await killedDaemon();
    const { severity, evidence = [] } = (await finding('kernel')) ?? {};
    expect(severity).toBe('ok');
    expect(evidence.find(({ file }) => file.endsWith('target_metric'))?.value).toContain('node_mem_used_bp');
  });

  test('believes no receipt of an earlier boot', async () => {
    await killedDaemon();
    damon.files.set('/proc/sys/kernel/random/boot_id', 'another');
    expect(await finding('kdamonds')).toMatchObject({ severity: 'error', remedy: expect.stringContaining('echo off') });
  });

  test('leaves a receipt alone that it cannot read', async () => {
    await killedDaemon();
    await writeFile(join(stateDirectory, 'damon-receipt.json'), '{');
    expect(await finding('kdamonds')).toMatchObject({ severity: 'error' });
    expect(await readdir(stateDirectory)).toEqual(['damon-receipt.json']);
  });

  test('writes nothing', async () => {
    await killedDaemon();
    const before = damon.tree();
    damon.writes.length = 0;
    await findings();
    expect([damon.tree(), damon.writes]).toEqual([before, []]);
  });

  test('says that nobody knows what DAMON can do when nobody has tried', async () => {
    expect(await finding('kernel')).toMatchObject({
      severity: 'unseen',
      title: expect.stringContaining('Not known until'),
    });
  });
});

test('a daemon that answers knows best which tiers it uses, what DAMON can do, and what it may not do', async () => {
  const { api, service } = harness();
  const told: readonly Finding[] = [
    { id: 'kernel', severity: 'ok', title: 'told', evidence: [] },
    { id: 'capabilities', severity: 'error', title: 'lacks', evidence: [] },
    { id: 'tiers', severity: 'ok', title: 'as configured', evidence: [] },
    { id: 'tier-order', severity: 'info', title: 'of the daemon alone', evidence: [] },
    { id: 'thp', severity: 'info', title: 'of no matter', evidence: [] },
  ];
  service.diagnose = async () => told;
  const socket = join(stateDirectory, 'tierd.sock');
  await listenOnSocket(api, socket);
  try {
    expect(await finding('kernel', socket)).toEqual(told[0]);
    expect(await finding('capabilities', socket)).toEqual(told[1]);
    expect(await finding('tiers', socket)).toEqual(told[2]);
    expect(await finding('tier-order', socket)).toEqual(told[3]);
    expect(await finding('thp', socket)).not.toEqual(told[4]);
  } finally {
    await api.close();
  }
});
