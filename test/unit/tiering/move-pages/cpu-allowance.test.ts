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

  /** A machine on which the process uses so much of a core all the time, besides what works use. */
  function makeBusy(otherShare: number) {
    const { clock, use } = makeAllowance();
    const pass = (ms: number) => {
      clock.nowMs += ms;
      clock.cpuMs += otherShare * ms;
    };
    const busy = new CpuAllowance({
      nowMs: () => clock.nowMs,
      cpuMs: () => clock.cpuMs,
      sleep: async (ms) => pass(ms),
    });
    return { busy, clock, use, pass };
  }

  test('is of the whole process: what it uses in the pauses of a work counts', async () => {
    const { busy, clock, use } = makeBusy(0.05);
    await busy.during(0.2, async () => {
      for (let call = 0; call < 100; call += 1) {
        use(10);
        await busy.pause(never);
      }
    });
    expect(clock.cpuMs / clock.nowMs).toBeGreaterThan(0.195);
    expect(clock.cpuMs / clock.nowMs).toBeLessThan(0.205);
  });

  test('leaves half of it to work, however much the process uses otherwise', async () => {
    const { busy, clock, use } = makeBusy(0.5);
    await busy.during(0.2, async () => {
      for (let call = 0; call < 100; call += 1) {
        use(10);
        await busy.pause(never);
      }
    });
    expect(1000 / clock.nowMs).toBeGreaterThan(0.095);
    expect(1000 / clock.nowMs).toBeLessThan(0.105);
  });

  test('is not charged for long with what the process has used before', async () => {
    const { busy, clock, use, pass } = makeBusy(0.5);
    await busy.during(0.2, async () => undefined);
    pass(3_600_000);
    const startedMs = clock.nowMs;
    await busy.during(0.2, async () => {
      use(1000);
      await busy.pause(never);
    });
    expect(clock.nowMs - startedMs).toBeLessThanOrEqual(1000 / 0.1);
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
