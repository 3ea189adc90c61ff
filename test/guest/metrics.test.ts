import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Type from 'typebox';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { METRICS } from '../../api/metrics/definitions.ts';
import { compileCheck } from '../../api/schema/check.ts';
import { ROOT } from '../../scripts/bundle.ts';
import { harness } from '../unit/api/harness.ts';
import { debianPackage } from './debian-tools.ts';
import { eventually } from './eventually.ts';
import { runHost } from './host-process.ts';

const checkAnswer = compileCheck(
  Type.Object({
    data: Type.Object({ result: Type.Array(Type.Object({ metric: Type.Record(Type.String(), Type.String()) })) }),
  }),
);

let binaries: string;
let directory: string;
beforeAll(async () => {
  binaries = join(await debianPackage('prometheus', (line) => console.log(line)), 'usr/bin');
  directory = await mkdtemp(join(tmpdir(), 'tierd-metrics-'));
}, 300_000);
afterAll(() => rm(directory, { recursive: true, force: true }));

const promtool = (args: readonly string[], input?: string) =>
  runHost(join(binaries, 'promtool'), args, input === undefined ? {} : { input });

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
  const apiPort = portOf(api.server.address());
  const config = join(directory, 'prometheus.yml');
  await writeFile(
    config,
    JSON.stringify({
      global: { scrape_interval: '1s' },
      scrape_configs: [{ job_name: 'tierd', static_configs: [{ targets: [`127.0.0.1:${apiPort}`] }] }],
    }),
  );
  const port = await freePort();
  const prometheus = spawn(
    join(binaries, 'prometheus'),
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  );
  try {
    const query = async (expression: string): Promise<readonly { metric: Record<string, string> }[]> => {
      const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expression)}`;
      const answer = await fetch(url).catch(() => undefined);
      const parsed = answer?.ok === true ? checkAnswer(await answer.json()) : undefined;
      return parsed?.ok === true ? parsed.value.data.result : [];
    };
    await eventually('the target is up', 60_000, async () => (await query('up{job="tierd"} == 1')).length === 1);
    const scraped = new Set((await query('{job="tierd"}')).map(({ metric }) => metric.__name__));
    // Of page accounts the fake engine, which is DAMON's, has none.
    const expected = METRICS.map(({ name }) => name).filter((name) => !name.startsWith('tierd_page'));
    for (const name of expected) expect(scraped).toContain(name);
    expect(scraped).toContain('tierd_http_request_duration_seconds_bucket');
  } finally {
    prometheus.kill();
    await once(prometheus, 'exit');
    await api.close();
  }
}, 120_000);

function portOf(address: ReturnType<ReturnType<typeof createServer>['address']>): number {
  if (address === null || typeof address === 'string') throw new Error('not a TCP port');
  return address.port;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server.address());
  server.close();
  await once(server, 'close');
  return port;
}
