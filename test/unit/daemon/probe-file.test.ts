import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { probeFile } from '../../../daemon/probe-file.ts';

const PROBE = {
  nodeId: 1,
  readLatencyNs: 300.5,
  readBandwidthMiBps: 5000,
  writeBandwidthMiBps: 4000,
  bufferBytes: 2 ** 26,
  initiatorNodeIds: [0],
  takenAt: '2026-11-23T05:00:00.000Z',
  nodeBytes: 2 ** 30,
};

const logger = pino({ enabled: false });

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tierd-probe-'));
});
afterEach(() => rm(directory, { recursive: true }));

test('what was measured is there after a restart', async () => {
  expect(await probeFile(directory, logger).load()).toBeUndefined();
  await probeFile(directory, logger).save([PROBE]);
  expect(await probeFile(directory, logger).load()).toEqual([PROBE]);
  expect(JSON.parse(await readFile(join(directory, 'probe.json'), 'utf8'))).toEqual({ probes: [PROBE] });
});

test.each(['', '{}', '[]', JSON.stringify({ probes: [{ ...PROBE, readLatencyNs: 'fast' }] })])(
  '%j is set aside',
  async (text) => {
    await writeFile(join(directory, 'probe.json'), text);
    expect(await probeFile(directory, logger).load()).toBeUndefined();
    expect(await readdir(directory)).toEqual([expect.stringMatching(/^probe\.json\.corrupt-/)]);
  },
);
