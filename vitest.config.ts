import { defineConfig } from 'vitest/config';

const inGuests = {
  globalSetup: ['test/guest/host-ready.ts'],
  fileParallelism: false,
  testTimeout: 300_000,
  // Guests queue for the machine, and the first one of a kernel builds its image.
  hookTimeout: 1_800_000,
  // An emulated machine stalls at times, and what stalls looks idle. Each retry is told at the end, and what shows safety has none (test/guest/safety.ts).
  retry: 2,
  // A guest is stateful: tests of one file share its boot and run in order.
  sequence: { concurrent: false },
};

/** `unit` needs neither root nor QEMU; `guest` boots real kernels, one guest at a time; `matrix` repeats on other kernels what `guest` shows on one. */
export default defineConfig({
  test: {
    reporters: ['default', './test/retries-reporter.ts'],
    projects: [
      // The simulated hosts run for simulated minutes; a busy machine may take longer than vitest's 5 s.
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 60_000 } },
      { test: { name: 'guest', include: ['test/guest/*.test.ts'], ...inGuests } },
      { test: { name: 'matrix', include: ['test/guest/matrix/*.test.ts'], ...inGuests } },
    ],
  },
});
