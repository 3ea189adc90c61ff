import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { SnapshotBody } from './api-client.ts';
import {
  damonStatState,
  damonTree,
  kdamondPids,
  makeKdamondByHand,
  removeKdamonds,
  switchDamonStat,
  switchKdamond,
  takeDamonOver,
} from './damon-by-hand.ts';
import { decidesAgain } from './decisions.ts';
import { eventually } from './eventually.ts';
import { ONCE } from './safety.ts';
import type { Stage } from './stage.ts';

/** A kernel module that holds DAMON for itself (on by default from 6.17). */
export function damonStatTests(currentStage: () => Stage, hasDamonStat: boolean): void {
  it(`${hasDamonStat ? 'switches DAMON_STAT off while it runs, and on again' : 'does without DAMON_STAT'}`, async () => {
    const stage = currentStage();
    const state = hasDamonStat ? 'Y' : undefined;
    expect(await damonStatState(stage.guest)).toBe(state);
    const tierd = await stage.startTierd();
    await stage.explain(async () => {
      expect(await damonStatState(stage.guest)).toBe(hasDamonStat ? 'N' : undefined);
      await tierd.stop();
      expect(await damonStatState(stage.guest)).toBe(state);
    });
  });
}

/** Whose DAMON is it: what tierd leaves alone, takes, gives back and finds again. */
export function ownershipTests(currentStage: () => Stage, hasDamonStat: boolean): void {
  describe('DAMON', ONCE, () => testOwnership(currentStage, hasDamonStat));
}

function testOwnership(currentStage: () => Stage, hasDamonStat: boolean): void {
  it('leaves a kdamond alone that it did not start, and says whose it is', async () => {
    const stage = currentStage();
    const { guest } = stage;
    const statBefore = await damonStatState(guest);
    await switchDamonStat(guest, false);
    await makeKdamondByHand(guest);
    await switchKdamond(guest, 'on');
    const [pid] = await kdamondPids(guest);
    const before = await damonTree(guest);
    try {
      const refused = await stage.launchTierd();
      expect(await refused.exitCode()).toBe(81);
      expect(refused.stderr.trim().split('\n')).toHaveLength(1);
      expect(refused.stderr).toContain(`kdamond 0 (pid ${pid}, paddr, schemes stat, migrate_cold`);
      expect(refused.stderr).toContain('echo off > /sys/kernel/mm/damon/admin/kdamonds/0/state');
      expect(await damonTree(guest)).toEqual(before);
      expect(await kdamondPids(guest)).toEqual([pid]);

      const waiting = await stage.launchTierd({ waitForDamon: true });
      await stage.explain(async () => {
        const line = await waiting.waitForLog(({ message }) => message.startsWith('waiting for DAMON'), 60_000);
        expect(line.message).toContain(`pid ${pid}`);
        await sleep(5_000);
        const { state, waitingFor } = await waiting.api.status();
        expect(state).toBe('starting');
        expect(waitingFor).toContain(`DAMON: kdamond 0 (pid ${pid}, paddr, schemes stat, migrate_cold`);
        expect(await damonTree(guest)).toEqual(before);
        await switchKdamond(guest, 'off');
        await waiting.waitForReady();
        expect(await kdamondPids(guest)).toHaveLength(2);
        await waiting.stop();
        const off = before.map((line) =>
          line.replace('./0/state:on', './0/state:off').replace(`./0/pid:${pid}`, './0/pid:-1'),
        );
        expect(await damonTree(guest)).toEqual(off);
      });
    } finally {
      await stage.clear();
      if ((await kdamondPids(guest)).length > 0) await switchKdamond(guest, 'off');
      await removeKdamonds(guest);
      await switchDamonStat(guest, statBefore === 'Y');
    }
  });

  it('goes on with its kdamonds after SIGKILL, through changes of policy, and leaves nothing after SIGTERM', async () => {
    const stage = currentStage();
    const { guest } = stage;
    const before = await damonTree(guest);
    const statBefore = await damonStatState(guest);
    const killed = await stage.startTierd();
    const pids = await kdamondPids(guest);
    expect(pids).toHaveLength(2);
    expect((await killed.api.schemes()).kdamonds.map(({ pid }) => pid)).toEqual(pids);
    await killed.kill();
    expect(await kdamondPids(guest)).toEqual(pids);

    const tierd = await stage.startTierd();
    await stage.explain(async () => {
      expect(await kdamondPids(guest)).toEqual(pids);
      expect((await tierd.api.schemes()).kdamonds.map(({ pid }) => pid)).toEqual(pids);
      const { uptimeSeconds } = await tierd.api.status();
      const found = await tierd.api.snapshot();
      for (const node of found.nodes) expect(oldestAge(node)).toBeGreaterThan(uptimeSeconds);

      const policy = await tierd.api.patchPolicy({
        fastUtilization: 0.9,
        promotion: { minAccessRate: 0.3, maxMiBPerSecond: 100 },
        demotion: { minAgeSeconds: 5 },
      });
      expect(policy).toMatchObject({ fastUtilization: 0.9, demotion: { minAgeSeconds: 5 } });
      expect(await kdamondPids(guest)).toEqual(pids);
      await eventually('regions go on ageing', 30_000, async () => {
        const { nodes } = await tierd.api.snapshot();
        return nodes.every((node, index) => oldestAge(node) > oldestAge(found.nodes[index]) + 3);
      });
      await tierd.stop();
      expect(await damonTree(guest)).toEqual(before);
      expect(await damonStatState(guest)).toBe(statBefore);
    });
  });

  it('waits while somebody else has taken DAMON over, and takes it back when it is free', async () => {
    const stage = currentStage();
    const { guest } = stage;
    const { api } = await stage.startTierd();
    await stage.explain(async () => {
      await eventually('somebody else has DAMON', 60_000, () => takeDamonOver(guest));
      const before = await damonTree(guest);
      await eventually('it says so', 60_000, async () => (await api.status()).problem?.includes('in use by') === true);
      await sleep(6_000);
      expect(await damonTree(guest)).toEqual(before);
      await switchKdamond(guest, 'off');
      await eventually('both nodes are watched', 90_000, async () => (await kdamondPids(guest)).length === 2);
      await decidesAgain({ api });
      expect((await api.status()).problem).toBeUndefined();
    });
  }, 300_000);

  it('steps aside when that is its policy, leaving DAMON as it was, until it is resumed', async () => {
    const stage = currentStage();
    const { guest } = stage;
    const before = await damonTree(guest);
    const { api } = await stage.startTierd({ onSwitchOff: 'stepAside' });
    await stage.explain(async () => {
      await switchKdamond(guest, 'off');
      await eventually('it is aside', 60_000, async () => (await api.status()).state === 'aside');
      expect(await kdamondPids(guest)).toEqual([]);
      expect(await damonTree(guest)).toEqual(before);

      await switchDamonStat(guest, false);
      await makeKdamondByHand(guest);
      await switchKdamond(guest, 'on');
      const refused = await api.send('POST', '/v1/resume');
      expect(refused.status).toBe(409);
      expect(refused.text).toContain('TIERD_DAMON_FOREIGN');
      expect((await api.status()).state).toBe('aside');
      await switchKdamond(guest, 'off');
      await removeKdamonds(guest);
      expect([200, 202]).toContain((await api.send('POST', '/v1/resume')).status);
      expect(await kdamondPids(guest)).toHaveLength(2);
      await decidesAgain({ api }, 60_000);
    });
    await stage.clear();
    await switchDamonStat(guest, hasDamonStat);
  }, 300_000);

  it('puts back a kdamond that was prepared by hand, setting by setting', async () => {
    const stage = currentStage();
    const { guest } = stage;
    await makeKdamondByHand(guest);
    const before = await damonTree(guest);
    try {
      const tierd = await stage.startTierd();
      await stage.explain(async () => {
        expect(await damonTree(guest)).not.toEqual(before);
        await tierd.stop();
        expect(await damonTree(guest)).toEqual(before);
      });
    } finally {
      await stage.clear();
      await removeKdamonds(guest);
    }
  });
}

/** In seconds. */
function oldestAge(node: SnapshotBody['nodes'][number] | undefined): number {
  return Math.max(0, ...(node?.regions.map(({ ageSeconds }) => ageSeconds) ?? []));
}
