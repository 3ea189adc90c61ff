import { expect, test } from 'vitest';
import { resolveScope } from '../../../tiering/cgroup-scope.ts';
import { DamosEngine } from '../../../tiering/damos-engine.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import type { CgroupScope } from '../../../tiering/scheme.ts';
import { makeEmptyTree } from '../numa/page-maps/proc-tree.ts';
import { ALL_FEATURES, machine } from './machines.ts';

const NUMA2 = machine([
  { nodeId: 0, totalMiB: 1024, tier: 0 },
  { nodeId: 1, totalMiB: 2048, tier: 1 },
]);

test('a scope holds all cgroups below those named, however many, each once', async () => {
  const tree = await makeEmptyTree();
  const below = Array.from({ length: 300 }, (_, index) => `/a/c${index}`);
  for (const path of ['/a', '/b', ...below]) await tree.write(`/sys/fs/cgroup${path}/cgroup.procs`, '');
  const scope = await resolveScope(tree.sysfs, { include: ['/a', '/a/c7', '/gone'], exclude: ['/b/'] });
  expect(scope.include).toHaveLength(301);
  expect(new Set(scope.include)).toEqual(new Set(['/a', ...below]));
  expect(scope.exclude).toEqual(['/b']);
});

test('the engine damos says once what its filters leave out, and again when that changes', async () => {
  const warnings: string[] = [];
  const quiet = () => undefined;
  const engine = new DamosEngine({
    driver: { kdamonds: [] },
    observer: { schemeFlows: async () => new Map(), effectiveQuotas: { look: async () => undefined } },
    fleet: { bring: async () => undefined },
    logger: { debug: quiet, info: quiet, warn: (_, message) => warnings.push(message), error: quiet },
    nowMs: () => 0,
  });
  const serve = (scope: CgroupScope) =>
    engine.serve({ topology: NUMA2, policy: DEFAULT_POLICY, features: ALL_FEATURES, scope, orders: [] });
  const cgroups = (count: number) => Array.from({ length: count }, (_, index) => `/c${index}`);
  await serve({ include: cgroups(256), exclude: [] });
  expect(warnings).toEqual([]);
  await serve({ include: cgroups(300), exclude: [] });
  await serve({ include: cgroups(300), exclude: [] });
  expect(warnings).toEqual([expect.stringMatching(/^300 cgroups are included, .* 256/)]);
  await serve({ include: cgroups(301), exclude: [] });
  expect(warnings).toHaveLength(2);
});
