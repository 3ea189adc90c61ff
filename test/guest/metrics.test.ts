import { once } from 'node:events';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { METRICS } from '../../api/metrics/definitions.ts';
import { ROOT } from '../../scripts/bundle.ts';
import { harness } from '../unit/api/harness.ts';
import { Prometheus, portOf, promtool } from './prometheus.ts';

// The package may have to be downloaded.
beforeAll(() => promtool(['--version']), 300_000);

it('promtool has nothing to say against the metrics', async () => {
  const { api } = harness();
  await api.inject('/v1/status');
  const { body } = await api.inject('/metrics');
  expect(await promtool(['check', 'metrics'], body)).toMatchObject({ exitCode: 0, stderr: '' });
});

it('the alert rules are right, and fire when they should', async () => {
  const rules = (name: string) => join(ROOT, 'examples/prometheus', name);
  expect(await promtool(['check', 'rules', rules('alerts.yaml')])).toMatchObject({ exitCode: 0 });
  const tested = await promtool(['test', 'rules', rules('alerts.test.yaml')]);
  expect(`${tested.stdout}${tested.stderr}`).toContain('SUCCESS');
  expect(tested.exitCode).toBe(0);
});

it('Prometheus scrapes every metric', async () => {
  const { api, service } = harness();
  const target = { pid: 4711 };
  await service.migrations.create({ target, from: [1], to: 0, maxBytesPerSecond: 1 });
  await api.inject('/v1/status');
  await api.ready();
  api.server.listen(0, '127.0.0.1');
  await once(api.server, 'listening');
  const prometheus = await Prometheus.scraping(portOf(api.server.address()));
  try {
    const scraped = await prometheus.names();
    // Of page accounts the fake engine, which is DAMON's, has none.
    const expected = METRICS.map(({ name }) => name).filter((name) => !name.startsWith('tierd_page'));
    for (const name of expected) expect(scraped).toContain(name);
    expect(scraped).toContain('tierd_http_request_duration_seconds_bucket');
  } finally {
    await prometheus.stop();
    await api.close();
  }
}, 120_000);
