import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import Type from 'typebox';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { OPERATIONS } from '../../../api/openapi/operations.ts';
import { compileCheck } from '../../../api/schema/check.ts';
import { parseCommandLine } from '../../../daemon/command-line.ts';
import { DEFAULT_CONFIG_FILE, parseConfig } from '../../../daemon/config.ts';

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

const texts = Type.Record(Type.String(), Type.String());
const MountSchema = Type.Object({
  name: Type.String(),
  mountPath: Type.String(),
  readOnly: Type.Optional(Type.Boolean()),
});
const ProbeSchema = Type.Object({ exec: Type.Object({ command: Type.Array(Type.String()) }) });
const ContainerSchema = Type.Object({
  name: Type.String(),
  command: Type.Optional(Type.Array(Type.String())),
  securityContext: Type.Object({
    runAsUser: Type.Integer(),
    runAsGroup: Type.Integer(),
    capabilities: Type.Object({ drop: Type.Array(Type.String()), add: Type.Optional(Type.Array(Type.String())) }),
  }),
  readinessProbe: Type.Optional(ProbeSchema),
  livenessProbe: Type.Optional(ProbeSchema),
  ports: Type.Optional(Type.Array(Type.Object({ containerPort: Type.Integer() }))),
  volumeMounts: Type.Array(MountSchema),
});
const VolumeSchema = Type.Object({
  name: Type.String(),
  hostPath: Type.Optional(Type.Object({ path: Type.String() })),
  configMap: Type.Optional(Type.Object({ name: Type.String() })),
});
const checkConfigMap = compileCheck(Type.Object({ metadata: Type.Object({ name: Type.String() }), data: texts }));
const checkDaemonSet = compileCheck(
  Type.Object({
    spec: Type.Object({
      template: Type.Object({
        metadata: Type.Object({ annotations: texts }),
        spec: Type.Object({
          hostPID: Type.Boolean(),
          terminationGracePeriodSeconds: Type.Integer(),
          containers: Type.Tuple([ContainerSchema, ContainerSchema]),
          volumes: Type.Array(VolumeSchema),
        }),
      }),
    }),
  }),
);

const documents = parseAllDocuments(read('examples/kubernetes/daemonset.yaml'));
const objects: readonly { readonly kind: string }[] = documents.map((document) => document.toJS());
const ofKind = (kind: string) => objects.filter((object) => object.kind === kind);

function valid<T>(checked: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  if (!checked.ok) throw new Error(`not as this test knows it: ${JSON.stringify(checked)}`);
  return checked.value;
}

const { template } = valid(checkDaemonSet(ofKind('DaemonSet')[0])).spec;
const [tierd, metrics] = template.spec.containers;
const configMaps = new Map(
  ofKind('ConfigMap')
    .map((object) => valid(checkConfigMap(object)))
    .map(({ metadata, data }) => [metadata.name, data]),
);
const unit = read('systemd/tierd.service');
const config = parseConfig(configMaps.get('tierd')?.['tierd.yaml'] ?? '', 'tierd.yaml');

test('the manifest is YAML throughout, of the objects that it needs', () => {
  expect(documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([]);
  expect(objects.map(({ kind }) => kind)).toEqual(['Namespace', 'ConfigMap', 'ConfigMap', 'DaemonSet']);
});

test('its configuration is one, and waits for what another user of DAMON has', () => {
  expect(config).toMatchObject({ waitForDamon: true });
});

test('every command is one of the program, with options that it has', () => {
  const asked = [tierd.command, tierd.readinessProbe?.exec.command, tierd.livenessProbe?.exec.command].map(
    ([program, ...args] = []) => [program, parseCommandLine(args)],
  );
  expect(asked).toEqual([
    ['tierd', { name: 'run', options: {} }],
    ['tierd', { name: 'ask', request: { method: 'GET', path: '/v1/status', as: 'json', check: true } }],
    ['tierd', { name: 'ask', request: { method: 'GET', path: '/v1/status', as: 'text' } }],
  ]);
});

test('what the daemon keeps, reads and writes is that of the host, at the paths of its configuration', () => {
  const paths = new Map(tierd.volumeMounts.map(({ name, mountPath }) => [name, mountPath]));
  expect(Object.fromEntries(paths)).toEqual({
    config: dirname(DEFAULT_CONFIG_FILE),
    state: config.stateDirectory,
    run: dirname(config.api.socket),
    'run-read': dirname(config.api.readSocket),
    sys: '/sys',
  });
  expect(template.spec.hostPID).toBe(true);
  for (const name of ['state', 'run', 'run-read', 'sys']) {
    expect(template.spec.volumes.find((volume) => volume.name === name)?.hostPath?.path).toBe(paths.get(name));
  }
  expect(tierd.volumeMounts.filter(({ readOnly }) => readOnly === true).map(({ name }) => name)).toEqual(['config']);
});

test('every volume is there and mounted, of the objects that there are', () => {
  const mounted = new Set([...tierd.volumeMounts, ...metrics.volumeMounts].map(({ name }) => name));
  expect([...mounted].sort()).toEqual(template.spec.volumes.map(({ name }) => name).sort());
  for (const { configMap } of template.spec.volumes)
    if (configMap) expect([...configMaps.keys()]).toContain(configMap.name);
});

test('the daemon may do what its unit may, and the proxy nothing', () => {
  const bounding = /^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1]?.replaceAll('CAP_', '').split(' ');
  expect(tierd.securityContext).toMatchObject({ runAsUser: 0, capabilities: { drop: ['ALL'], add: bounding } });
  expect(metrics.securityContext.capabilities).toEqual({ drop: ['ALL'] });
  expect(metrics.securityContext.runAsUser).not.toBe(0);
  // Of the socket's group.
  expect(metrics.securityContext.runAsGroup).toBe(tierd.securityContext.runAsGroup);
  const stopSeconds = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]);
  expect(template.spec.terminationGracePeriodSeconds).toBeGreaterThan(stopSeconds);
});

test('the metrics, and nothing else, leave the node, where Prometheus is told to find them', () => {
  const proxy = configMaps.get('tierd-metrics')?.['default.conf'] ?? '';
  const { 'prometheus.io/port': port, 'prometheus.io/path': path } = template.metadata.annotations;
  expect(metrics.ports).toEqual([{ containerPort: Number(port) }].map((wanted) => expect.objectContaining(wanted)));
  expect(proxy).toContain(`listen ${port};`);
  expect(OPERATIONS.has(`GET ${path}`)).toBe(true);
  expect([...proxy.matchAll(/location (.*) \{/g)].map(([, location]) => location)).toEqual([`= ${path}`, '/']);
  expect(proxy.match(/proxy_pass .*/g)).toEqual([`proxy_pass http://unix:${config.api.readSocket}:${path};`]);
  expect(metrics.volumeMounts.map(({ mountPath }) => mountPath)).not.toContain(dirname(config.api.socket));
});
