import { expect, it } from 'vitest';
import { eventually } from './eventually.ts';
import { restAtWorkTests } from './rest-at-work-tests.ts';
import { ONCE } from './safety.ts';
import { fastNode, slowNode } from './scenarios.ts';
import type { Stage } from './stage.ts';

/** The REST API as an operator meets it on a host. */
export function restTests(currentStage: () => Stage): void {
  it('serves the REST API on a Unix socket for root and its group only', ONCE, async () => {
    const stage = currentStage();
    const { api } = await stage.startTierd();
    await stage.explain(async () => {
      expect((await stage.guest.check('stat -c "%F %a" /run/tierd/tierd.sock')).trim()).toBe('socket 660');

      const status = await api.status();
      expect(status).toMatchObject({ engine: 'damos', dryRun: false, host: { kernel: stage.guest.release } });
      expect(status.nodes.map(({ nodeId, tier }) => [nodeId, tier])).toEqual([
        [fastNode, 0],
        [slowNode, 1],
      ]);
      const topology = await api.topology();
      expect(topology.nodes.map(({ nodeId, kind }) => [nodeId, kind])).toEqual([
        [fastNode, 'dram'],
        [slowNode, 'memory-only'],
      ]);
      expect(topology).toMatchObject({
        tierSource: 'kernel',
        paths: [
          { nodeId: fastNode, promotionTargets: [], demotionTargets: [slowNode] },
          { nodeId: slowNode, promotionTargets: [fastNode], demotionTargets: [] },
        ],
      });
      const { kdamonds } = await api.schemes();
      expect(kdamonds.map(({ nodeId }) => nodeId)).toEqual([fastNode, slowNode]);
      const actions = kdamonds.map(({ schemes }) => schemes.map(({ action }) => action));
      expect(actions[0]).toContain('migrate_cold');
      expect(actions[1]).toContain('migrate_hot');
      // Both kernels of the tests have the file (Linux 6.9); one kdamond is asked a tick.
      await eventually('the kernel tells the effective quota of every scheme', 30_000, async () => {
        const schemes = (await api.schemes()).kdamonds.flatMap((kdamond) => kdamond.schemes);
        return schemes.every(({ effectiveQuotaBytes }) => Number.isInteger(effectiveQuotaBytes));
      });
      const snapshot = await api.snapshot();
      for (const node of snapshot.nodes) {
        expect(node.regions).toHaveLength(node.nrRegions);
        expect(node.regions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBe(node.sizeBytes);
      }

      const text = await api.send('GET', '/v1/snapshot', { accept: 'text/plain' });
      expect(text.contentType).toMatch(/^text\/plain/);
      expect(text.text).toMatch(/^node 0: [\d.]+ MiB in \d+ regions/);
      expect(text.text.split('\n').length).toBeGreaterThan(100);
      expect((await api.send('GET', '/v1/status?format=text')).text).toMatch(/^tierd \d/);

      // Of a change with a wrong part nothing is applied.
      const before = await api.policy();
      const refused = await api.send('PATCH', '/v1/policy', {
        body: { fastUtilization: 0.5, promotion: { minAccessRate: 3 } },
      });
      expect(refused.status).toBe(422);
      expect(JSON.parse(refused.text)).toMatchObject({ errors: [{ key: 'promotion.minAccessRate', value: 3 }] });
      expect(await api.policy()).toEqual(before);
    });
  });

  restAtWorkTests(currentStage);
}
