import { describe, expect, test } from 'vitest';
import { CpuAllowance } from '../../../../tiering/move-pages/cpu-allowance.ts';

const never = new AbortController().signal;

/** Time that passes in work and in sleeps only. */
function makeAllowance() {
  const clock = { nowMs: 0, cpuMs: 0 };
  const allowance = new CpuAllowance({
    nowMs: () => clock.nowMs,
    cpuMs: () => clock.cpuMs,
    sleep: async (ms, signal) => {
      if (!signal.aborted) clock.nowMs += ms;
    },
  });
  const use = (cpuMs: number) => {
    clock.nowMs += cpuMs;
    clock.cpuMs += cpuMs;
  };
  return { allowance, clock, use };
}

describe('an allowance of processor time', () => {
  test('makes work wait until its share of a core is met', async () => {
    const { allowance, clock, use } = makeAllowance();
    await allowance.during(0.25, async () => {
      use(100);
      await allowance.pause(never);
    });
    expect(clock.nowMs).toBeCloseTo(400);
  });

  test('counts what other threads still do for the work before it waits', async () => {
    const { allowance, clock, use } = makeAllowance();
    await allowance.during(0.25, async () => {
      use(100);
      await allowance.pause(
        never,
        Promise.resolve().then(() => use(20)),
      );
    });
    expect(clock.nowMs).toBeCloseTo(480);
  });

  test('counts what other threads have used by the tick at which the kernel adds it up', async () => {
    const { clock } = makeAllowance();
    let addedLaterMs = 8;
    const late = new CpuAllowance({
      nowMs: () => clock.nowMs,
      cpuMs: () => clock.cpuMs,
      sleep: async (ms) => {
        clock.nowMs += ms;
        clock.cpuMs += addedLaterMs;
        addedLaterMs = 0;
      },
    });
    await late.during(0.25, async () => {
      clock.nowMs += 100;
      clock.cpuMs += 92;
      await late.pause(never);
    });
    expect(clock.nowMs).toBeCloseTo(400);
  });

  test('is remembered: who comes next waits for what an aborted work has used', async () => {
    const { allowance, clock, use } = makeAllowance();
    const abort = new AbortController();
    await allowance.during(0.25, async () => {
      use(100);
      abort.abort();
      await allowance.pause(abort.signal);
    });
    expect(clock.nowMs).toBe(100);
    clock.nowMs += 100;
    await allowance.during(0.25, () => allowance.pause(never));
    expect(clock.nowMs).toBeCloseTo(400);
  });

  test('is not saved up while nobody works', async () => {
    const { allowance, clock, use } = makeAllowance();
    clock.nowMs += 3_600_000;
    const startedMs = clock.nowMs;
    await allowance.during(0.25, async () => {
      use(100);
      await allowance.pause(never);
    });
    expect(clock.nowMs - startedMs).toBeGreaterThanOrEqual(350);
  });

  test('is not charged with what others use while the work waits, nor before and after it', async () => {
    const { clock, use } = makeAllowance();
    use(500);
    const others = new CpuAllowance({
      nowMs: () => clock.nowMs,
      cpuMs: () => clock.cpuMs,
      // More than the share all by themselves.
      sleep: async (ms) => {
        use(ms);
      },
    });
    await others.during(0.1, async () => {
      use(10);
      await others.pause(never);
    });
    // But for a tick's 10 ms: who has used these cannot be told.
    expect(clock.nowMs).toBeCloseTo(500 + (10 + 10) / 0.1);
  });

  test('holds for several works together', async () => {
    const { allowance, clock, use } = makeAllowance();
    const work = async () => {
      for (let i = 0; i < 10; i += 1) {
        use(10);
        await allowance.pause(never);
      }
    };
    await Promise.all([allowance.during(0.5, work), allowance.during(0.5, work)]);
    expect(clock.cpuMs / clock.nowMs).toBeLessThanOrEqual(0.55);
  });
});
