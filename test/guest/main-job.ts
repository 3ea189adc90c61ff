import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Guest } from './guest.ts';
import { mib, scenarios } from './scenarios.ts';
import { Stage } from './stage.ts';
import { bootWithTierd } from './tierd-in-guest.ts';

/** Guests are slow and noisy: waits are twice as long as what the daemon promises. */
const patience = 2;

/** At most so many times the bytes that had to move. */
const mostMigrated = 1.3;

/** The main job on one kernel: a guest with two nodes, booted once. */
export function mainJob(kernel: '6.12' | '7.3'): void {
  describe(`tierd on ${kernel}`, () => {
    let guest: Guest;
    let stage: Stage;

    beforeAll(async () => {
      guest = await bootWithTierd({ kernel, topology: 'numa2' });
      stage = await Stage.open(guest);
      // Long, for the image may have to be built and another guest of this machine may have to end first.
    }, 1_800_000);

    afterEach(() => stage?.clear(), 120_000);

    afterAll(() => guest?.shutdown());

    it('room: promotes hot memory and leaves cold memory alone', async () => {
      const measured = await stage.play(scenarios.room, { untilHotShare: 0.95, timeoutMs: patience * 15_000 });
      await stage.explain(() => {
        expect(measured.secondsTo[95]).toBeLessThanOrEqual(patience * 15);
        expect(measured.secondsTo[95]).not.toBeNull();
        expect(measured.coldStayedShare).toBeGreaterThanOrEqual(0.98);
        expect(measured.leastBytes).toBe(200 * mib);
        expect(measured.migratedBytes).toBeLessThanOrEqual(mostMigrated * measured.leastBytes);
      });
    });

    it('full: makes room for hot memory without a failed allocation', async () => {
      const measured = await stage.play(scenarios.full, { untilHotShare: 0.9, timeoutMs: patience * 40_000 });
      await stage.explain(() => {
        expect(measured.secondsTo[90]).not.toBeNull();
        expect(measured.secondsTo[90]).toBeLessThanOrEqual(patience * 40);
        expect(measured.migratedBytes).toBeLessThanOrEqual(mostMigrated * measured.leastBytes);
        expect(measured.oomKills).toBe(0);
        expect(measured.memoryFailures).toEqual([]);
      });
    });

    it('many: serves several processes', async () => {
      const measured = await stage.play(scenarios.many, { untilHotShare: 0.95, timeoutMs: patience * 25_000 });
      await stage.explain(() => {
        expect(measured.secondsTo[95]).not.toBeNull();
        expect(measured.secondsTo[95]).toBeLessThanOrEqual(patience * 25);
        expect(measured.migratedBytes).toBeLessThanOrEqual(mostMigrated * measured.leastBytes);
      });
    });

    it('shift: follows when hot and cold memory swap roles', async () => {
      const measured = await stage.play(scenarios.shift, { untilHotShare: 0.9, timeoutMs: patience * 60_000 });
      await stage.explain(() => {
        expect(measured.secondsTo[90]).not.toBeNull();
        expect(measured.secondsTo[90]).toBeLessThanOrEqual(patience * 60);
        expect(measured.memoryFailures).toEqual([]);
      });
    });
  });
}
