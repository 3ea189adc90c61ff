import { describe, expect, test } from 'vitest';
import { StuckMemory } from '../../../../tiering/move-pages/stuck-memory.ts';

const PAGE = 4096;
/** 64 MiB. */
const MANY = 16_384;
const guest = { pid: 7, startTime: 100 };

class Memory {
  readonly stuck = new StuckMemory(PAGE);
  nowMs = 0;

  fail(startPage: number, pages: number, process = guest, isWhole = false): void {
    this.stuck.failed(process, { startPage, pages }, { reason: 'EBUSY', nowMs: this.nowMs, isWhole });
  }

  /** Tries a page whenever it may be tried, once a second, and fails; gives how often in so long. */
  triesIn(ms: number, page: number, process = guest): number {
    let tries = 0;
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs += 1000) {
      if (this.stuck.isLeftAlone(process, page, this.nowMs)) continue;
      tries += 1;
      this.fail(page, 1, process);
    }
    return tries;
  }
}

describe('memory that does not move', () => {
  test('is left alone page by page, longer each time', () => {
    const memory = new Memory();
    expect(memory.triesIn(600_000, 5)).toBeLessThanOrEqual(4);
    expect(memory.triesIn(24 * 3_600_000, 5)).toBeLessThanOrEqual(40);
    expect(memory.stuck.isLeftAlone(guest, 6, memory.nowMs)).toBe(false);
  });

  test('is tried soon again when it has not failed for long', () => {
    const memory = new Memory();
    memory.triesIn(60_000, 5);
    memory.nowMs += 24 * 3_600_000;
    memory.fail(5, 1);
    memory.nowMs += 11_000;
    expect(memory.stuck.isLeftAlone(guest, 5, memory.nowMs)).toBe(false);
  });

  test('is left alone as a process once nothing of it moves, and that is told once', () => {
    const memory = new Memory();
    memory.fail(0, MANY - 1);
    expect(memory.stuck.isLeftAlone(guest, 2 ** 30, memory.nowMs)).toBe(false);
    // Asked by a clock that was read before.
    expect(memory.stuck.takeNew(memory.nowMs - 1)).toEqual([]);
    memory.fail(MANY, 1);
    expect(memory.stuck.isLeftAlone(guest, 2 ** 30, memory.nowMs)).toBe(true);
    const told = { ...guest, reason: 'EBUSY', pauseMs: 30_000, failedBytes: MANY * PAGE };
    expect(memory.stuck.processes(memory.nowMs)).toEqual([told]);
    expect(memory.stuck.takeNew(memory.nowMs)).toEqual([told]);
    memory.nowMs += 30_000;
    memory.fail(2 ** 30, 1);
    expect(memory.stuck.processes(memory.nowMs)).toMatchObject([{ pauseMs: 60_000 }]);
    expect(memory.stuck.takeNew(memory.nowMs)).toEqual([]);
  });

  test('is tried a batch at a time, a few times a day, of a process of which nothing moves', () => {
    const memory = new Memory();
    memory.fail(0, MANY);
    let tries = 0;
    for (let page = MANY; memory.nowMs < 24 * 3_600_000; memory.nowMs += 1000) {
      if (memory.stuck.isLeftAlone(guest, page, memory.nowMs)) continue;
      memory.fail(page, 4096);
      page += 4096;
      tries += 1;
    }
    expect(tries).toBeLessThan(35);
  });

  test('of which something moves is no hopeless process', () => {
    const memory = new Memory();
    memory.fail(0, MANY);
    memory.stuck.moved(guest.pid);
    expect(memory.stuck.isLeftAlone(guest, 2 ** 30, memory.nowMs)).toBe(false);
    expect(memory.stuck.isLeftAlone(guest, 5, memory.nowMs)).toBe(true);
    expect(memory.stuck.processes(memory.nowMs)).toEqual([]);
  });

  test('of a process that the kernel refuses as such is left alone at once', () => {
    const memory = new Memory();
    memory.fail(0, 1, guest, true);
    expect(memory.stuck.isLeftAlone(guest, 2 ** 30, memory.nowMs)).toBe(true);
  });

  test('says nothing of another process that has the pid since', () => {
    const memory = new Memory();
    memory.fail(0, MANY);
    const next = { ...guest, startTime: 200 };
    expect(memory.stuck.isLeftAlone(next, 2 ** 30, memory.nowMs)).toBe(false);
    expect(memory.stuck.isLeftAlone(next, 5, memory.nowMs)).toBe(false);
  });

  test('is remembered of so many processes and no more', () => {
    const memory = new Memory();
    for (let pid = 1; pid <= 5000; pid += 1) memory.fail(0, 1, { pid, startTime: 1 }, true);
    const known = memory.stuck.processes(memory.nowMs).map(({ pid }) => pid);
    expect(known.length).toBeLessThanOrEqual(1024);
    expect(known.at(-1)).toBe(5000);
  });
});
