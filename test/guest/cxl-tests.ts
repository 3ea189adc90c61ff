import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { doctorTests } from './doctor-tests.ts';
import { eventually } from './eventually.ts';
import type { Guest } from './guest.ts';
import { hotShareOf, mib, sampleNow, slowNode } from './scenarios.ts';
import { Stage } from './stage.ts';
import type { Tierd, TierdProcess } from './tierd-in-guest.ts';
import { bootWithTierd, TierdService } from './tierd-in-guest.ts';
import { startWorkload } from './workload/workload.ts';

/** Guests are slow and noisy: waits are twice as long as what the daemon promises. */
const patience = 2;

/** A few lines may tell of memory that goes and comes; an error storm is more. */
const mostComplaints = 5;

/**
 * QEMU runs each access to the emulated expander through its device model: it copies some 5 MiB a second, and a guest stands still whose programs come to
 * lie there. So less is moved here than on ordinary memory nodes, and enough of DRAM stays free for the system.
 */
const hotMib = 64;
const cxlRoom = {
  name: 'room',
  title: '64 MiB hot in CXL memory, 200 MiB cold in DRAM, room to spare',
  processes: [{ name: 'room', hot: [{ mib: hotMib, node: slowNode }], cold: [{ mib: 200, node: 0 }] }],
};

// Long, for the image may have to be built and another guest of this machine may have to end first.
const bootLimitMs = 1_800_000;

/** The daemon's unit on a host with an expander: tiering, hot-plug, and what the doctor says. */
export function cxlTests(kernel: string): void {
  describe(`tierd as a service on a host with a CXL expander, ${kernel}`, () => {
    let guest: Guest;
    let stage: Stage;
    let service: TierdService;

    beforeAll(async () => {
      guest = await bootWithTierd({ kernel, topology: 'cxl', onlineMovable: true });
      stage = await Stage.open(guest);
    }, bootLimitMs);

    afterAll(() => guest?.shutdown());

    it('room: promotes hot memory and leaves cold memory alone', async () => {
      const copySeconds = await secondsToMoveUp(guest, hotMib);
      console.log(`${kernel} cxl: migratepages alone takes ${copySeconds.toFixed(1)} s for ${hotMib} MiB`);
      const limitSeconds = patience * (15 + copySeconds);
      const measured = await stage.play(cxlRoom, { untilHotShare: 0.95, timeoutMs: limitSeconds * 1000 }, async () => {
        service = await TierdService.start(guest);
        return service;
      });
      await stage.explain(async () => {
        expect(measured.secondsTo[95]).not.toBeNull();
        expect(measured.secondsTo[95]).toBeLessThanOrEqual(limitSeconds);
        expect(measured.coldStayedShare).toBeGreaterThanOrEqual(0.98);
        expect(measured.migratedBytes).toBeLessThanOrEqual(1.3 * measured.leastBytes);
        expect((await guest.check('stat -c "%U:%G %a" /run/tierd/tierd.sock')).trim()).toBe('root:tierd 660');
        const node = (await service.api.topology()).nodes.find(({ nodeId }) => nodeId === slowNode);
        expect(node).toMatchObject({
          kind: 'cxl',
          cxl: { region: 'region0', daxDevice: 'dax0.0', sizeBytes: 512 * mib, interleaveWays: 1 },
        });
        expect(node?.cxl?.devices.map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual([['mem0', 512 * mib]]);
      });
      await stage.clearWorkloads();
    });

    it('follows when the CXL memory is removed and comes back', async () => {
      const pid = await service.property('MainPID');
      await stage.explain(async () => {
        await guest.check('daxctl offline-memory dax0.0', { timeoutMs: 120_000 });
        expect(await onlineBytes(guest)).toBe(0);
        await rangesFollow(guest, service);

        await guest.check('daxctl online-memory dax0.0', { timeoutMs: 120_000 });
        expect(await onlineBytes(guest)).toBe(512 * mib);
        await rangesFollow(guest, service);
        await migrates(stage);

        expect(await service.property('MainPID')).toBe(pid);
        expect(await service.property('NRestarts')).toBe('0');
        const complaints = await service.complaints();
        console.log(`${kernel} cxl hot-remove: ${complaints.length} warnings ${complaints.join(' | ')}`);
        expect(complaints.length).toBeLessThanOrEqual(mostComplaints);
      });
      await stage.clear();
      expect(await service.property('Result')).toBe('success');
    });

    doctorTests(() => guest);
  });
}

/** Memory of the kernel's own keeps part of an expander online. */
export function halfRemovedTests(kernel: string): void {
  describe(`tierd when CXL memory can be removed only half, ${kernel}`, () => {
    let guest: Guest;
    let stage: Stage;

    beforeAll(async () => {
      guest = await bootWithTierd({ kernel, topology: 'cxl' });
      stage = await Stage.open(guest);
    }, bootLimitMs);

    afterAll(() => guest?.shutdown());

    it('follows what went and what stayed, and when it comes back', async () => {
      const tierd: TierdProcess = await stage.startTierd();
      await stage.explain(async () => {
        // By itself the kernel keeps pages of its own there on some boots only.
        const pinned = await startWorkload(guest, { name: 'pinned', pin: { mib: 1, node: slowNode } });
        const removed = await guest.run('daxctl offline-memory dax0.0', { timeoutMs: 120_000 });
        const left = await onlineBytes(guest);
        console.log(`${kernel} cxl half removed: exit code ${removed.exitCode}, ${left / mib} MiB left`);
        expect(removed.exitCode).not.toBe(0);
        expect(left).toBeGreaterThan(0);
        expect(left).toBeLessThan(512 * mib);
        await rangesFollow(guest, tierd);

        await pinned.stop();
        await guest.run('daxctl online-memory --no-movable dax0.0', { timeoutMs: 120_000 });
        expect(await onlineBytes(guest)).toBe(512 * mib);
        await rangesFollow(guest, tierd);
        await migrates(stage);

        expect(tierd.exited).toBe(false);
        const complaints = await tierd.complaints();
        console.log(`${kernel} cxl half removed: ${complaints.length} warnings ${complaints.join(' | ')}`);
        expect(complaints.length).toBeLessThanOrEqual(mostComplaints);
      });
      await stage.clear();
    });
  });
}

/** Bytes of the CXL memory's blocks that are online. */
async function onlineBytes(guest: Guest): Promise<number> {
  const [blockSize = '', online = ''] = (
    await guest.check(
      `cat /sys/devices/system/memory/block_size_bytes; cat /sys/devices/system/node/node${slowNode}/memory*/state | grep -cx online || true`,
    )
  ).split('\n');
  return Number.parseInt(blockSize, 16) * Number(online);
}

/** Topology and what DAMON watches become what is online, within 10 s as promised. */
async function rangesFollow(guest: Guest, { api }: Tierd): Promise<void> {
  const wanted = await onlineBytes(guest);
  let found = '';
  const follow = eventually(`${wanted / mib} MiB are known and watched`, patience * 10_000, async () => {
    const node = (await api.topology()).nodes.find(({ nodeId }) => nodeId === slowNode);
    const known = node?.ranges.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) ?? 0;
    const watched = (await api.snapshot()).nodes.find(({ nodeId }) => nodeId === slowNode)?.sizeBytes ?? 0;
    found = `${known / mib} MiB known, ${watched / mib} MiB watched`;
    return known === wanted && watched === wanted;
  });
  await follow.catch((error: unknown) => {
    throw new Error(`${error instanceof Error ? error.message : error}: ${found}`);
  });
}

/** Hot memory on the CXL node is promoted. */
async function migrates(stage: Stage): Promise<void> {
  const scenario = { name: 'resumed', title: '', processes: [{ hot: [{ mib: hotMib, node: slowNode }] }] };
  await stage.place(scenario);
  await eventually('hot memory is promoted again', patience * 60_000, () => {
    return hotShareOf(sampleNow(stage.workloads)) >= 0.95;
  });
}

/** How long the kernel alone takes to move so much memory from the expander to DRAM: no daemon can be faster than that. */
async function secondsToMoveUp(guest: Guest, sizeMib: number): Promise<number> {
  const workload = await startWorkload(guest, { name: 'floor', cold: [{ mib: sizeMib, node: slowNode }] });
  const { pid } = workload.latest;
  const time = await guest.check(`bash -c 'TIMEFORMAT=%R; time migratepages ${pid} ${slowNode} 0' 2>&1`, {
    timeoutMs: 300_000,
  });
  await workload.stop();
  const seconds = Number(time.trim().split('\n').at(-1));
  if (!Number.isFinite(seconds)) throw new Error(`migratepages: ${time}`);
  return seconds;
}
