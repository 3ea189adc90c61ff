import { describe, expect, test } from 'vitest';
import { CpuAllowance } from '../../../tiering/cpu-allowance.ts';

const never = new AbortController().signal;

/** Time that passes in work and in sleeps only. In sleeps the process uses `otherShare` of a core, besides what works use. */
function makeAllowance(otherShare = 0) {
  const clock = { nowMs: 0, cpuMs: 0 };
  const pass = (ms: number) => {
    clock.nowMs += ms;
    clock.cpuMs += otherShare * ms;
  };
  const allowance = new CpuAllowance({
    nowMs: () => clock.nowMs,
    cpuMs: () => clock.cpuMs,
    sleep: async (ms, signal) => {
      if (!signal.aborted) pass(ms);
    },
  });
  const use = (cpuMs: number) => {
    clock.nowMs += cpuMs;
    clock.cpuMs += cpuMs;
  };
  /** A work of so many calls of 10 ms each. */
  const workOf = (calls: number) => async () => {
    for (let call = 0; call < calls; call += 1) {
      use(10);
      await allowance.pause(never);
    }
  };
  return { allowance, clock, use, pass, workOf };
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

  test('is of the whole process: what it uses in the pauses of a work counts', async () => {
    const { allowance, clock, workOf } = makeAllowance(0.05);
    await allowance.during(0.2, workOf(100));
    expect(clock.cpuMs / clock.nowMs).toBeGreaterThan(0.195);
    expect(clock.cpuMs / clock.nowMs).toBeLessThan(0.205);
  });

  test('leaves half of it to work, however much the process uses otherwise', async () => {
    const { allowance, clock, workOf } = makeAllowance(0.5);
    await allowance.during(0.2, workOf(100));
    expect(1000 / clock.nowMs).toBeGreaterThan(0.095);
    expect(1000 / clock.nowMs).toBeLessThan(0.105);
  });

  test('is not charged for long with what the process has used before', async () => {
    const { allowance, clock, use, pass } = makeAllowance(0.5);
    await allowance.during(0.2, async () => undefined);
    pass(3_600_000);
    const startedMs = clock.nowMs;
    await allowance.during(0.2, async () => {
      use(1000);
      await allowance.pause(never);
    });
    expect(clock.nowMs - startedMs).toBeLessThanOrEqual(1000 / 0.1);
  });

  test('lets a work go on that another one waits for, however much the process uses otherwise', async () => {
    const { allowance, clock, use, workOf } = makeAllowance(0.3);
    const first = allowance.during(0.2, async () => {
      use(100);
      await allowance.pause(never);
      await workOf(10)();
    });
    const second = allowance.during(0.2, () => allowance.waitFor(first));
    await Promise.all([first, second]);
    expect(clock.nowMs).toBeLessThanOrEqual(200 / 0.1 + 100);
  });

  test('holds for several works together', async () => {
    const { allowance, clock, workOf } = makeAllowance();
    await Promise.all([allowance.during(0.5, workOf(10)), allowance.during(0.5, workOf(10))]);
    expect(clock.cpuMs / clock.nowMs).toBeLessThanOrEqual(0.55);
  });
});
