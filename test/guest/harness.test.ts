import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GuestError } from './errors.ts';
import type { Guest } from './guest.ts';
import { bootGuest } from './guest.ts';
import { progressToStderr } from './progress.ts';
import { startGraded } from './workload/graded.ts';
import { hotShare, startWorkload } from './workload/workload.ts';

const mib = 1024 * 1024;

/** Polls until something is so; fails the test with what it was after too long a time. */
async function eventually(what: string, condition: () => boolean, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
    await sleep(50);
  }
}

function processRuns(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The QEMU that this process has started; its keeper is between them. */
function ownQemuPid(): number {
  const parentOf = (pid: number): number => Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]);
  for (const name of readdirSync(tmpdir())) {
    const file = join(tmpdir(), name, 'qemu.pid');
    if (!name.startsWith('tierd-guest-') || !existsSync(file)) continue;
    const pid = Number(readFileSync(file, 'utf8'));
    if (processRuns(pid) && parentOf(parentOf(pid)) === process.pid) return pid;
  }
  throw new Error('no QEMU of this process runs');
}

describe('a guest with two nodes', () => {
  let scratch: string;
  let guest: Guest;
  let qemuPid = 0;
  const told: string[] = [];

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'harness-test-'));
    mkdirSync(join(scratch, 'build', 'sub'), { recursive: true });
    writeFileSync(join(scratch, 'build', 'sub', 'file'), 'from the build\n');
    const onProgress = (line: string): void => {
      progressToStderr(line);
      if (line.startsWith('booting kernel') && told.length === 0) process.kill(ownQemuPid(), 'SIGABRT');
      if (/crashed|again/.test(line)) told.push(line);
    };
    guest = await bootGuest({ kernel: '7.3', topology: 'numa2', buildDir: join(scratch, 'build'), onProgress });
    qemuPid = Number(readFileSync(join(guest.directory, 'qemu.pid'), 'utf8'));
    // Long, for the image may have to be built and another guest of this machine may have to end first.
  }, 1_800_000);

  afterAll(async () => {
    await guest?.shutdown();
    rmSync(scratch, { recursive: true, force: true });
  });

  it('was booted again after QEMU had crashed', () => {
    expect(told).toEqual([expect.stringMatching(/^QEMU crashed while the guest booted[\s\S]*booting again$/)]);
  });

  it('runs the kernel that was asked for', async () => {
    expect((await guest.check('uname -r')).trim()).toBe(guest.release);
    expect(guest.release).toMatch(/^7\.3\./);
  });

  it('has slower memory on a node without CPUs, in a tier of its own', async () => {
    expect((await guest.check('cat /sys/devices/system/node/has_cpu')).trim()).toBe('0');
    expect((await guest.check('cat /sys/devices/system/node/has_memory')).trim()).toBe('0-1');
    const tiers = await guest.check('grep -h . /sys/devices/virtual/memory_tiering/memory_tier*/nodelist');
    expect(tiers.trim().split('\n').sort()).toEqual(['0', '1']);
  });

  it('has every service up and most of its memory free', async () => {
    expect(await guest.check('systemctl --failed --plain --no-legend')).toBe('');
    const free = /MemFree:\s+(\d+)/.exec(await guest.check('cat /sys/devices/system/node/node0/meminfo'))?.[1];
    expect(Number(free)).toBeGreaterThan(800 * 1024);
  });

  it('tells exit code, output and errors of a command apart', async () => {
    expect(await guest.run('echo out; echo err >&2; exit 3')).toEqual({
      exitCode: 3,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect((await guest.run('kill -TERM $$')).exitCode).not.toBe(0);
    expect((await guest.run('sh -c "kill -TERM \\$\\$"')).exitCode).toBe(128 + 15);
    expect((await guest.run('cat', { stdin: `it's "input" $HOME\n` })).stdout).toBe(`it's "input" $HOME\n`);
  });

  it('throws when a command that must succeed does not, with its words', async () => {
    const failure = guest.check('echo because >&2; false');
    await expect(failure).rejects.toThrow(GuestError);
    await expect(failure).rejects.toThrow(/exited with 1[\s\S]*because/);
  });

  it('kills a command that takes too long, and all it started', async () => {
    await expect(guest.run('sleep 4242 & sleep 4242', { timeoutMs: 1_500 })).rejects.toMatchObject({
      code: 'COMMAND_TIMEOUT',
    });
    expect((await guest.run('pgrep -fx "sleep 4242"')).exitCode).toBe(1);
  });

  it('runs a command in well under half a second', async () => {
    const start = Date.now();
    for (let i = 0; i < 10; i++) await guest.check('true');
    expect((Date.now() - start) / 10).toBeLessThan(500);
  });

  it('streams the lines of a background command, and stops it', async () => {
    const child = guest.spawn('for i in 1 2 3; do echo line $i; done; exec sleep 4343');
    const lines: string[] = [];
    for await (const line of child) {
      lines.push(line);
      if (lines.length === 3) break;
    }
    expect(lines).toEqual(['line 1', 'line 2', 'line 3']);
    expect(child.exited).toBe(false);
    expect(await child.stop()).not.toBe(0);
    expect((await guest.run('pgrep -fx "sleep 4343"')).exitCode).toBe(1);
  });

  it('has the build directory', async () => {
    expect(await guest.check('cat /opt/tierd/sub/file')).toBe('from the build\n');
  });

  it('copies files and directories both ways, with their modes', async () => {
    const source = join(scratch, 'source');
    mkdirSync(join(source, 'inner'), { recursive: true });
    writeFileSync(join(source, 'inner', 'script'), '#!/bin/sh\necho ran\n', { mode: 0o755 });
    const big = Buffer.alloc(3 * mib, 'tierd');
    writeFileSync(join(source, 'big'), big);
    await guest.copyIn(source, '/var/tmp/copied');
    expect(await guest.check('/var/tmp/copied/inner/script')).toBe('ran\n');
    await guest.copyOut('/var/tmp/copied', join(scratch, 'back'));
    expect(readFileSync(join(scratch, 'back', 'big')).equals(big)).toBe(true);
    expect(statSync(join(scratch, 'back', 'inner', 'script')).mode & 0o777).toBe(0o755);

    await guest.copyIn(join(source, 'inner', 'script'), '/var/tmp/deep/er/one file');
    expect(await guest.check('"/var/tmp/deep/er/one file"')).toBe('ran\n');
    await guest.copyOut('/var/tmp/deep/er/one file', join(scratch, 'one file'));
    expect(readFileSync(join(scratch, 'one file'), 'utf8')).toContain('echo ran');
    await expect(guest.copyOut('/no/such', join(scratch, 'none'))).rejects.toMatchObject({ code: 'COPY_FAILED' });
  });

  it("reaches a Unix socket's HTTP service in the guest", async () => {
    const server = guest.spawn(
      `node -e 'require("http").createServer((q, r) => r.end("you asked " + q.url)).listen("/run/api.sock", () => console.log("up"))'`,
    );
    await server.waitForLine((line) => line === 'up', 60_000);
    const api = await guest.forwardSocket('/run/api.sock');
    const body = await new Promise<string>((resolve, reject) => {
      get({ socketPath: api.socketPath, path: '/status' }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve(text));
      }).on('error', reject);
    });
    expect(body).toBe('you asked /status');
    await api.close();
    expect(existsSync(api.socketPath)).toBe(false);
    await server.stop();
  });

  it('has a workload whose reports agree with numastat', async () => {
    const workload = await startWorkload(guest, {
      name: 'check',
      hot: [{ mib: 60, node: 1 }],
      cold: [{ mib: 40, node: 0 }],
    });
    const first = await workload.waitFor((report) => report.event === 'report' && report.passes > 0, 60_000);
    expect(first).toMatchObject({ name: 'check', hotSize: 60 * mib, coldSize: 40 * mib });
    expect(hotShare(first, [1])).toBe(1);
    expect(first.coldBytes.get(0)).toBe(40 * mib);
    const private_ = /^Private\s+([\d.]+)\s+([\d.]+)/m.exec(await guest.check(`numastat -p ${first.pid}`));
    expect(Number(private_?.[1])).toBeGreaterThanOrEqual(40);
    expect(Number(private_?.[1])).toBeLessThan(45);
    expect(Number(private_?.[2])).toBeGreaterThanOrEqual(60);
    expect(Number(private_?.[2])).toBeLessThan(62);

    // Migration is free: the policy of the first touch does not hold the pages.
    await guest.check(`migratepages ${first.pid} 1 0`);
    const moved = await workload.waitFor((report) => hotShare(report, [0]) === 1, 60_000);
    expect(moved.hotBytes.get(0)).toBe(60 * mib);

    const swapped = await workload.swap();
    expect(swapped).toMatchObject({ hotSize: 40 * mib, coldSize: 60 * mib });
    expect((await workload.stop()).event).toBe('end');
    expect((await guest.run(`test -e /proc/${first.pid}`)).exitCode).toBe(1);
  });

  it('has a workload that reads its cold memory once when it is told to', async () => {
    const workload = await startWorkload(guest, { name: 'scan', cold: [{ mib: 32, node: 1 }], scanMibPerSecond: 32 });
    const { pid } = workload.latest;
    const referencedMib = async (): Promise<number> => {
      const areas = await guest.check(`grep ^Referenced: /proc/${pid}/smaps`);
      return Math.max(...[...areas.matchAll(/(\d+) kB/g)].map(([, kib]) => Number(kib) / 1024));
    };
    await guest.check(`echo 1 >/proc/${pid}/clear_refs`);
    expect(await referencedMib()).toBeLessThan(1);
    const before = workload.latest;
    const scanned = await workload.scan();
    expect(scanned.elapsed - before.elapsed).toBeGreaterThan(0.9);
    expect(scanned).toMatchObject({ hotSize: 0, coldSize: 32 * mib });
    expect(await referencedMib()).toBe(32);
    await guest.check(`echo 1 >/proc/${pid}/clear_refs`);
    await workload.waitFor(({ event }) => event === 'report', 60_000, scanned.elapsed + 1);
    expect(await referencedMib()).toBeLessThan(1);
    await workload.stop();
  });

  it.each([4, 2048])(
    'has memory of graded heat, in blocks of %i KiB, whose reports agree with numastat and with what it accesses',
    async (blockKib) => {
      const memory = [
        { mib: 40, node: 0 },
        { mib: 60, node: 1 },
      ];
      const workload = await startGraded(guest, { name: 'graded', memory, blockKib, seed: 3 });
      const ready = workload.latest;
      expect(ready.sizeBytes).toBe(100 * mib);
      expect(ready.bytes).toEqual(new Map(memory.map(({ mib: size, node }) => [node, size * mib])));
      const { shares, bytes } = ready.hottest ?? { shares: [], bytes: new Map<number, number[]>() };
      expect([shares.length, shares[0], shares[100]]).toEqual([101, 0, 1]);
      expect([0, 1].map((node) => bytes.get(node)?.[100])).toEqual([40 * mib, 60 * mib]);
      // What is hot is drawn whatever node it is on.
      expect(bytes.get(0)?.[50]).toBeGreaterThan(10 * mib);
      expect(bytes.get(1)?.[50]).toBeGreaterThan(10 * mib);

      const later = await workload.waitFor(({ event }) => event === 'report', 60_000, 3);
      expect(later.accessesPerSecond).toBeGreaterThan(30_000);
      expect(Math.abs(later.countedToTenth - (shares[10] ?? 0))).toBeLessThan(0.02);
      expect((later.shares.get(0) ?? 0) + (later.shares.get(1) ?? 0)).toBeCloseTo(1);
      const private_ = /^Private\s+([\d.]+)\s+([\d.]+)/m.exec(await guest.check(`numastat -p ${later.pid}`));
      expect(Number(private_?.[2])).toBeGreaterThanOrEqual(60);
      expect(Number(private_?.[2])).toBeLessThan(62);

      const redrawn = await workload.redraw();
      expect(redrawn.bytes).toEqual(ready.bytes);
      expect(redrawn.hottest?.shares).toEqual(shares);
      expect(redrawn.hottest?.bytes).not.toEqual(bytes);
      expect(redrawn.shares.get(0)).not.toBe(ready.shares.get(0));

      await guest.check(`migratepages ${later.pid} 1 0`);
      const moved = await workload.waitFor((report) => report.bytes.get(0) === 100 * mib, 60_000, redrawn.elapsed);
      expect(moved.shares.get(0)).toBeCloseTo(1);
      expect((await workload.stop()).event).toBe('end');
    },
  );

  it('can fill a node with cold memory', async () => {
    const workload = await startWorkload(guest, { fillFreeBut: [{ mib: 100, node: 0 }] });
    const free = /MemFree:\s+(\d+)/.exec(await guest.check('cat /sys/devices/system/node/node0/meminfo'))?.[1];
    expect(Number(free) / 1024).toBeGreaterThan(70);
    expect(Number(free) / 1024).toBeLessThan(130);
    await workload.stop();
  });

  it('leaves the pages of a busy workload alone: NUMA balancing is off', async () => {
    expect((await guest.check('cat /proc/sys/kernel/numa_balancing')).trim()).toBe('0');
  });

  it('survives a reboot of its system', async () => {
    const bootId = await guest.check('cat /proc/sys/kernel/random/boot_id');
    await guest.check('echo kept >/var/tmp/kept && sync');
    await guest.reboot();
    expect(await guest.check('cat /proc/sys/kernel/random/boot_id')).not.toBe(bootId);
    expect(await guest.check('cat /var/tmp/kept')).toBe('kept\n');
    expect(await guest.check('cat /opt/tierd/sub/file')).toBe('from the build\n');
  });

  it('leaves nothing behind', async () => {
    expect(processRuns(qemuPid)).toBe(true);
    await guest.shutdown();
    expect(processRuns(qemuPid)).toBe(false);
    expect(existsSync(guest.directory)).toBe(false);
    await expect(guest.run('true')).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
  });
});

describe('a guest whose owner is killed', () => {
  it('ends with it, and so do its files', async () => {
    // A directory for temporary files of its own, so that other guests of this machine are not mistaken for this one.
    const scratch = mkdtempSync(join(tmpdir(), 'harness-kill-'));
    const shell = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'shell.ts')], {
      stdio: 'ignore',
      env: { ...process.env, TMPDIR: scratch },
    });
    const pidFile = (): string | undefined =>
      readdirSync(scratch)
        .filter((name) => name.startsWith('tierd-guest-'))
        .map((name) => join(scratch, name, 'qemu.pid'))
        .find((path) => existsSync(path) && readFileSync(path, 'utf8') !== '');
    try {
      await eventually('QEMU starts', () => pidFile() !== undefined, 1_500_000);
      const pid = Number(readFileSync(pidFile() ?? '', 'utf8'));
      expect(processRuns(pid)).toBe(true);
      shell.kill('SIGKILL');
      await eventually('QEMU ends', () => !processRuns(pid), 20_000);
      await eventually(
        'its directory is removed',
        () => !readdirSync(scratch).some((name) => name.startsWith('tierd-guest-')),
        20_000,
      );
    } finally {
      shell.kill('SIGKILL');
      rmSync(scratch, { recursive: true, force: true });
    }
  }, 1_800_000);
});

describe('a kernel that Debian does not list', () => {
  it('is refused with the ones it does', async () => {
    await expect(bootGuest({ kernel: '4.2', topology: 'numa2' })).rejects.toMatchObject({
      code: 'KERNEL_UNKNOWN',
      message: expect.stringMatching(/6\.12/),
    });
  });
});
