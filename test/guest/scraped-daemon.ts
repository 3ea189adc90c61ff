import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { expect } from 'vitest';
import { parse } from 'yaml';
import { METRICS } from '../../api/metrics/definitions.ts';
import { ROOT } from '../../scripts/bundle.ts';
import type { ApiClient } from './api-client.ts';
import { eventually } from './eventually.ts';
import { Prometheus, portOf, promtool } from './prometheus.ts';

/** Not of every daemon: only engine move_pages accounts for pages, and migrations are there once one was ordered. */
const onlySometimes = /^tierd_(pages?_|migrations$)/;

/** A daemon that has moved memory in a guest, scraped by a real Prometheus: its metrics, the dashboard's expressions and those of the alerts. */
export async function prometheusScrapes(api: ApiClient): Promise<void> {
  const { text, contentType } = await api.send('GET', '/metrics');
  expect(contentType).toMatch(/^text\/plain; version=0\.0\.4/);
  expect(await promtool(['check', 'metrics'], text)).toMatchObject({ exitCode: 0, stderr: '' });

  const proxy = await metricsOnLoopback(api);
  try {
    const prometheus = await Prometheus.scraping(proxy.port);
    try {
      const scraped = await prometheus.names();
      for (const { name } of METRICS) if (!onlySometimes.test(name)) expect(scraped).toContain(name);
      expect(await prometheus.query('tierd_promoted_bytes_total > 0 and tierd_demoted_bytes_total > 0')).toHaveLength(
        1,
      );
      const nodes = await prometheus.query('tierd_node_memory_bytes > tierd_node_free_bytes');
      expect(nodes.map(({ metric: { node, tier } }) => `node ${node}, tier ${tier}`).sort()).toEqual([
        'node 0, tier 0',
        'node 1, tier 1',
      ]);

      // What is wrong in an expression is thrown.
      for (const expression of [...dashboardExpressions(), ...alertExpressions()]) await prometheus.query(expression);
      const used = '1 - tierd_node_free_bytes{instance=~".*", tier="0"} / tierd_node_memory_bytes';
      expect(dashboardExpressions()).toContain(used);
      expect(await prometheus.query(used)).toHaveLength(1);
      await eventually('rates are known, for which it takes two scrapes', 30_000, async () => {
        return (await prometheus.query('rate(tierd_ticks_total[30s]) > 0')).length === 1;
      });
    } finally {
      await prometheus.stop();
    }
  } finally {
    await proxy.close();
  }
}

/** Prometheus scrapes no Unix sockets. */
async function metricsOnLoopback(api: ApiClient): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer((_request, response) => {
    api.send('GET', '/metrics').then(
      ({ status, contentType, text }) => response.writeHead(status, { 'content-type': contentType }).end(text),
      () => response.writeHead(502).end(),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: portOf(server.address()),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** As Grafana asks, with its variables filled in. */
function dashboardExpressions(): readonly string[] {
  const { panels } = JSON.parse(readFileSync(join(ROOT, 'examples/grafana/tierd-dashboard.json'), 'utf8'));
  const expressions: readonly string[] = panels.flatMap(({ targets }: { targets: { expr: string }[] }) =>
    targets.map(({ expr }) => expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '30s')),
  );
  expect(expressions.length).toBeGreaterThan(20);
  return expressions;
}

function alertExpressions(): readonly string[] {
  const { groups } = parse(readFileSync(join(ROOT, 'examples/prometheus/alerts.yaml'), 'utf8'));
  const expressions: readonly string[] = groups.flatMap(({ rules }: { rules: { expr: string }[] }) =>
    rules.map(({ expr }) => expr),
  );
  expect(expressions.length).toBeGreaterThan(5);
  return expressions;
}
