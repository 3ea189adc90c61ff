import { defineConfig } from 'vitest/config';

/** Two projects: `unit` needs neither root nor QEMU; `guest` boots real kernels, one guest at a time. */
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        test: {
          name: 'guest',
          include: ['test/guest/**/*.test.ts'],
          globalSetup: ['test/guest/host-ready.ts'],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 600_000,
          // A guest is stateful: tests of one file share its boot and run in order.
          sequence: { concurrent: false },
        },
      },
    ],
  },
});
