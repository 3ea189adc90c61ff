import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus as hostCpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { measureCommand } from '../../../daemon/own-command.ts';
import { measureInChild } from '../../../numa/probe/measure-in-child.ts';
import { bundleInto, ROOT } from '../../../scripts/bundle.ts';
import { refusedCalls } from '../numa/syscalls/refused-calls.ts';

const MIB = 2 ** 20;
const run = promisify(execFile);
/** All there are: of these the kernel takes those that this process may use. */
const cpus = hostCpus().map((_, cpu) => cpu);

const refused = await refusedCalls();

// Outside the repository: nothing but what comes with the bundle is in reach.
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tierd-probe-'));
  await bundleInto(join(directory, 'dist'));
}, 60_000);
afterAll(() => rm(directory, { recursive: true }));

const fromSources = { execArgv: ['--import', 'tsx'], entryFile: () => join(ROOT, 'daemon/tierd.ts') };
const fromBundle = { execArgv: [], entryFile: () => join(directory, 'dist/tierd.js') };

describe.skipIf(refused.length > 0).each([
  ['sources', fromSources],
  ['bundle', fromBundle],
])('from the %s', (_, { execArgv, entryFile }) => {
  test('tierd probe measures the nodes of this host: figures on stdout, progress on stderr', async () => {
    const { stdout, stderr } = await run(process.execPath, [...execArgv, entryFile(), 'probe'], { cwd: ROOT });
    expect(stdout).toMatch(
      /^NODE +LATENCY +READ +WRITE +BUFFER +FROM CPUS OF\n +0 +\d+\.\d ns +\d+ MiB\/s +\d+ MiB\/s/,
    );
    expect(stderr).toMatch(/^node 0: measuring with \d+ MiB from the CPUs of node 0$/m);
  });

  test('a process of its own measures, and the event loop goes on', async () => {
    const measure = measureInChild(
      measureCommand({ execPath: process.execPath, execArgv: [...execArgv], argv: ['node', entryFile(), 'run'] }),
    );
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const measurement = await measure({ nodeId: 0, bufferBytes: 64 * MIB, cpus });
    delay.disable();
    // Nanoseconds.
    expect(delay.percentile(99) / 1e6).toBeLessThan(20);
    // Memory is slower than caches; nothing here is as slow as a disk.
    expect(measurement.readLatencyNs).toBeGreaterThan(10);
    expect(measurement.readLatencyNs).toBeLessThan(10_000);
    expect(measurement.readBandwidthMiBps).toBeGreaterThan(200);
    expect(measurement.writeBandwidthMiBps).toBeGreaterThan(200);
  });
});

test.skipIf(refused.length > 0)('tierd probe --json tells the same for programs', async () => {
  const { stdout } = await run(process.execPath, [fromBundle.entryFile(), 'probe', '--json']);
  expect(JSON.parse(stdout)).toEqual({
    nodes: [
      {
        nodeId: 0,
        readLatencyNs: expect.any(Number),
        readBandwidthMiBps: expect.any(Number),
        writeBandwidthMiBps: expect.any(Number),
        bufferBytes: expect.any(Number),
        initiatorNodeIds: [0],
        takenAt: expect.any(String),
      },
    ],
    skipped: [],
  });
});

test.skipIf(refused.length > 0)('a node that is not there is a failure that names the system call', async () => {
  const command = measureCommand({ execPath: process.execPath, execArgv: [], argv: ['node', fromBundle.entryFile()] });
  const measuring = measureInChild(command)({ nodeId: 1000, bufferBytes: 2 * MIB, cpus });
  await expect(measuring).rejects.toMatchObject({
    code: 'TIERD_PROBE_FAILED',
    message: expect.stringMatching(
      /^cannot measure node 1000: mbind\(2097152 bytes at .*bind of nodes 1000\): EINVAL$/,
    ),
  });
});
