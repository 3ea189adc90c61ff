import { expect, test } from 'vitest';
import { ScopeResolver } from '../../../tiering/cgroup-scope.ts';
import { DamosEngine } from '../../../tiering/damos-engine.ts';
import { processesInScope } from '../../../tiering/move-pages/process-scope.ts';
import { plan } from '../../../tiering/plan.ts';
import type { Policy } from '../../../tiering/policy.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import { describeUnmatched } from '../../../tiering/resolved-scope.ts';
import type { CgroupScope } from '../../../tiering/scheme.ts';
import { isPromotion, movesNothing } from '../../../tiering/scheme.ts';
import { makeEmptyTree } from '../numa/page-maps/proc-tree.ts';
import { ANY_REGION } from './any-region.ts';
import { ALL_FEATURES, machine } from './machines.ts';

const MIB = 1024 * 1024;
const NUMA2 = machine([
  { nodeId: 0, totalMiB: 1024, tier: 0 },
  { nodeId: 1, totalMiB: 2048, tier: 1 },
]);

/** Cgroups of version 2, and what resolves them. */
async function host(...paths: readonly string[]) {
  const tree = await makeEmptyTree();
  await tree.write('/sys/fs/cgroup/cgroup.controllers', 'memory');
  const add = (path: string) => tree.write(`/sys/fs/cgroup${path}/cgroup.procs`, '');
  for (const path of paths) await add(path);
  let nowMs = 0;
  const resolver = new ScopeResolver(tree.sysfs, () => nowMs);
  const resolve = ({ include = [], exclude = [] }: Partial<Policy['cgroups']>) =>
    resolver.resolve({ include, exclude });
  const pass = (ms: number) => {
    nowMs += ms;
  };
  return { tree, add, resolver, resolve, pass };
}

/** What both engines make of a scope, for orders to promote. */
function promotionOf(scope: CgroupScope) {
  const orders = [
    {
      nodeId: 1,
      promotion: { budgetBytes: 64 * MIB, bounds: ANY_REGION, reason: 'hot memory waits', targetNodeId: 0 },
    },
  ];
  const input = { topology: NUMA2, policy: DEFAULT_POLICY, features: ALL_FEATURES, scope, orders };
  return (
    plan(input)
      .find(({ nodeId }) => nodeId === 1)
      ?.schemes.filter(isPromotion) ?? []
  );
}

test('a scope holds all cgroups below those named, however many, each once', async () => {
  const below = Array.from({ length: 300 }, (_, index) => `/a/c${index}`);
  const { resolve } = await host('/a', '/b', ...below);
  const scope = await resolve({ include: ['/a', '/a/c7'], exclude: ['/b/'] });
  expect(scope.include).toHaveLength(301);
  expect(new Set(scope.include)).toEqual(new Set(['/a', ...below]));
  expect(scope.exclude).toEqual(['/b']);
  expect(describeUnmatched(scope)).toBeUndefined();
});

test('this process is in no scope of the engine that moves pages, though its cgroup is', async () => {
  const { resolve, tree } = await host('/a');
  await tree.write('/sys/fs/cgroup/a/cgroup.procs', `7\n${process.pid}`);
  expect(await processesInScope(tree.sysfs, await resolve({ include: ['/a'] }))).toEqual(new Set([7]));
});

test('no include list means all memory, and one that matches nothing means none, for both engines', async () => {
  const { resolve, tree } = await host('/a');
  const [all, none] = [await resolve({}), await resolve({ include: ['/hmsdk'] })];
  expect(all.include).toBe('all');
  expect(none.include).toEqual([]);
  expect(promotionOf(all)).toEqual([expect.objectContaining({ quota: expect.objectContaining({ bytes: 64 * MIB }) })]);
  expect(promotionOf(none)).toEqual([
    expect.objectContaining({
      quota: expect.objectContaining({ bytes: 1 }),
      pattern: expect.objectContaining({ age: expect.objectContaining({ min: 2 ** 32 - 1 }) }),
    }),
  ]);
  expect(await processesInScope(tree.sysfs, all)).toBeUndefined();
  expect(await processesInScope(tree.sysfs, none)).toEqual(new Set());
  expect(describeUnmatched(none)).toBe(
    'cgroups.include: no cgroup matches "/hmsdk": nothing is promoted or demoted until one does',
  );
});

test('a service that stops takes its memory out of scope, and back when it starts again', async () => {
  const { resolve, tree, add } = await host('/app.service', '/other');
  const include = ['/app.service'];
  expect((await resolve({ include })).include).toEqual(include);
  await tree.remove('/sys/fs/cgroup/app.service');
  expect(await resolve({ include })).toMatchObject({
    include: [],
    unmatched: [{ list: 'include', path: '/app.service' }],
  });
  await add('/app.service');
  expect((await resolve({ include })).include).toEqual(include);
});

test('entries that match nothing are named, with what they mean for the others', async () => {
  const { resolve } = await host('/a');
  const scope = await resolve({ include: ['/a', '/typo'], exclude: ['/gone'] });
  expect(scope.include).toEqual(['/a']);
  expect(describeUnmatched(scope)).toBe(
    'cgroups.include: no cgroup matches "/typo": only memory of the others is moved; cgroups.exclude: no cgroup matches "/gone": nothing is left out by it',
  );
});

test('what is likely meant is told when an escape was lost on the way', async () => {
  const { resolve } = await host(
    '/system.slice',
    '/system.slice/system-my\\x2dapp.slice',
    '/system.slice/system-my\\x2dapp.slice/x',
  );
  const scope = await resolve({ include: ['/system.slice/system-my-app.slice/x'] });
  expect(describeUnmatched(scope)).toContain('(is "/system.slice/system-my\\x2dapp.slice/x" meant?)');
});

test.each([
  ['include', { include: ['/memory/app'] }],
  ['exclude', { exclude: ['/memory/app'] }],
])('with cgroups of version 1 nothing moves when the policy names some to %s', async (_, cgroups) => {
  const { resolve, tree } = await host('/memory/app');
  await tree.remove('/sys/fs/cgroup/cgroup.controllers');
  const scope = await resolve(cgroups);
  expect(movesNothing(scope)).toBe(true);
  expect(describeUnmatched(scope)).toContain('version 2');
  expect((await resolve({})).include).toBe('all');
});

test('looks are 5 s apart', async () => {
  const { resolve, resolver, pass } = await host('/a');
  await resolve({ include: ['/a'] });
  pass(4_999);
  expect(resolver.isDue).toBe(false);
  pass(1);
  expect(resolver.isDue).toBe(true);
});

test('the engine damos says once what its filters leave out, and again when that changes', async () => {
  const warnings: string[] = [];
  const quiet = () => undefined;
  const engine = new DamosEngine({
    driver: { kdamonds: [] },
    observer: { schemeFlows: async () => new Map(), effectiveQuotas: { look: async () => undefined } },
    fleet: { failed: async () => undefined },
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

test('when not every excluded cgroup gets a filter, the engine damos moves nothing', () => {
  const exclude = Array.from({ length: 257 }, (_, index) => `/c${index}`);
  const budgets = (scope: CgroupScope) => promotionOf(scope).map(({ quota }) => quota.bytes);
  expect(budgets({ include: 'all', exclude: exclude.slice(1) })).toEqual([64 * MIB]);
  expect(budgets({ include: 'all', exclude })).toEqual([1]);
});
