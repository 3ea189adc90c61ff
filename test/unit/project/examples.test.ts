import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { METRICS, REQUEST_DURATION } from '../../../api/metrics/definitions.ts';
import { parseConfig } from '../../../daemon/config.ts';

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const known = new Set([...METRICS.map(({ name }) => name), REQUEST_DURATION.name]);

/** Names of metrics in expressions, without what Prometheus adds to a histogram's. */
const metricsIn = (text: string): readonly string[] =>
  [...text.matchAll(/\b(?:tierd|process)_[a-z_]+/g)].map(([name]) => name.replace(/_bucket$/, ''));

test('every metric of the dashboard exists, and every metric is on it', () => {
  const { panels } = JSON.parse(read('examples/grafana/tierd-dashboard.json'));
  const shown = new Set<string>();
  for (const { targets } of panels) for (const { expr } of targets) for (const name of metricsIn(expr)) shown.add(name);
  expect([...shown].filter((name) => !known.has(name))).toEqual([]);
  expect([...known].filter((name) => !shown.has(name) && name !== 'process_start_time_seconds')).toEqual([]);
});

test('the panels of the dashboard do not overlap', () => {
  const { panels } = JSON.parse(read('examples/grafana/tierd-dashboard.json'));
  const places = panels.map(({ gridPos: { x, y } }: { gridPos: { x: number; y: number } }) => `${x},${y}`);
  expect(new Set(places).size).toBe(panels.length);
});

test('every metric of the alert rules exists', () => {
  const { groups } = parse(read('examples/prometheus/alerts.yaml'));
  const rules = groups.flatMap(({ rules: inGroup }: { rules: { expr: string }[] }) => inGroup);
  expect(rules.length).toBeGreaterThan(5);
  for (const { expr } of rules) for (const name of metricsIn(expr)) expect(known).toContain(name);
});

test('the drop-in for TCP is the one of the documents, and lifts all that keeps the unit from the loopback', () => {
  const dropIn = read('examples/systemd/tcp.conf');
  const settings = dropIn.replaceAll(/^#.*\n/gm, '');
  expect(read('docs/operating/api.md')).toContain(`\n\`\`\`\n${settings}\`\`\`\n`);
  const unit = read('systemd/tierd.service');
  for (const [obstacle, lifted] of [
    ['PrivateNetwork=yes', 'PrivateNetwork=no'],
    ['RestrictAddressFamilies=AF_UNIX', 'RestrictAddressFamilies=AF_UNIX AF_INET'],
    ['IPAddressDeny=any', 'IPAddressAllow=localhost'],
  ] as const) {
    expect(unit.split('\n')).toContain(obstacle);
    expect(settings.split('\n')).toContain(lifted);
  }
  const [, config = ''] = /^# .*tierd\.yaml: (.*)$/m.exec(dropIn) ?? [];
  expect(parseConfig(config, 'tierd.yaml').api).toMatchObject({ tcpPort: 8642, tokenFile: '/etc/tierd/token' });
});
