import { describe, expect, test } from 'vitest';
import { cgroupsText, processesText } from '../../../api/text/survey-text.ts';
import { SysFsError } from '../../../numa/sysfs.ts';
import { MIB } from './fake-service.ts';
import { harness } from './harness.ts';

const PROCESSES_TEXT = `\
processes with memory: 2, 1.5 s old
 PID  NAME          TOTAL     NODE 0     NODE 1  HOT ON SLOW  CGROUP
4711  postgres  640.0 MiB  512.0 MiB  128.0 MiB     64.0 MiB  /system.slice/postgresql.service
   1  systemd     8.0 MiB    8.0 MiB        0 B          0 B  -
`;

const CGROUPS_TEXT = `\
cgroups, each with all below it: 2, 1.5 s old
    TOTAL     NODE 0     NODE 1  HOT ON SLOW  CGROUP
700.0 MiB  572.0 MiB  128.0 MiB     64.0 MiB  /system.slice
  2.0 MiB    2.0 MiB        0 B          0 B  /user.slice
4.0 MiB hot on slow nodes are charged to no cgroup
`;

describe('processes', () => {
  test('are answered with their memory by node', async () => {
    const { api } = harness();
    const response = await api.inject('/v1/processes');
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({
      secondsOld: 1.5,
      nrProcesses: 2,
      unread: { processes: 0, residentBytes: 0 },
      processes: [
        { pid: 4711, name: 'postgres', hotOnSlowBytes: 64 * MIB, nodes: [{ nodeId: 0 }, { hotBytes: 64 * MIB }] },
        { pid: 1 },
      ],
    });
  });

  test('are a table in a terminal', async () => {
    const { api } = harness();
    expect((await api.inject('/v1/processes?format=text')).body).toBe(PROCESSES_TEXT);
    const response = await api.inject({ url: '/v1/processes', headers: { accept: 'text/plain' } });
    expect(response.body).toBe(PROCESSES_TEXT);
    expect(response.headers['content-type']).toBe('text/plain; charset=utf-8');
  });

  test('are as few as asked for, and say that there are more', async () => {
    const { api } = harness();
    const body = (await api.inject('/v1/processes?limit=1')).json();
    expect(body).toMatchObject({ nrProcesses: 2, processes: [{ pid: 4711 }] });
    expect(body.processes).toHaveLength(1);
    expect((await api.inject('/v1/processes?limit=1&format=text')).body).toContain(
      '\n1 more: a larger limit shows them\n',
    );
  });

  test.each(['0', '-1', '1001', '1e2', 'all', ''])('refuse a limit of "%s"', async (limit) => {
    const { api } = harness();
    const response = await api.inject(`/v1/processes?limit=${limit}`);
    expect(response.statusCode).toBe(400);
    expect(response.json().detail).toContain('a whole number from 1 to 1000');
  });

  test('that cannot be looked at are a failure without details of the host', async () => {
    const { api, service } = harness();
    service.refusal = new SysFsError('list', '/proc', Object.assign(new Error(), { code: 'EIO' }));
    const response = await api.inject('/v1/processes');
    expect(response.statusCode).toBe(503);
    expect(response.headers['content-type']).toContain('application/problem+json');
  });
});

describe('cgroups', () => {
  test('are answered with their memory by node, and what is charged to none', async () => {
    const { api } = harness();
    expect((await api.inject('/v1/cgroups?limit=1')).json()).toEqual({
      secondsOld: 1.5,
      nrCgroups: 2,
      isPartial: false,
      unchargedHotBytes: 4 * MIB,
      cgroups: [
        {
          path: '/system.slice',
          sizeBytes: 700 * MIB,
          nodes: [
            { nodeId: 0, sizeBytes: 572 * MIB },
            { nodeId: 1, sizeBytes: 128 * MIB, hotBytes: 64 * MIB },
          ],
          hotOnSlowBytes: 64 * MIB,
        },
      ],
    });
  });

  test('are a table in a terminal', async () => {
    const { api } = harness();
    expect((await api.inject('/v1/cgroups?format=text')).body).toBe(CGROUPS_TEXT);
  });

  test('say why there are none', async () => {
    const { api, service } = harness();
    service.cgroups = async () => ({ takenAtMs: 500, cgroups: [], isPartial: false, problem: 'needs version 2' });
    expect((await api.inject('/v1/cgroups')).json()).toMatchObject({ problem: 'needs version 2', cgroups: [] });
    expect((await api.inject('/v1/cgroups?format=text')).body).toBe('no cgroups: needs version 2\n');
  });
});

describe('in a terminal', () => {
  const GIB = 1024 * MIB;
  const nodes = Array.from({ length: 8 }, (_, nodeId) => ({ nodeId, sizeBytes: 1000 * GIB }));
  const placed = { sizeBytes: 8000 * GIB, nodes, hotOnSlowBytes: 1000 * GIB };

  test('no line is wider than 100 columns, and a long path keeps its end', () => {
    const cgroup = `/kubepods.slice/${'pod-with-a-long-name-'.repeat(9)}end.scope`;
    const text = processesText({
      secondsOld: 1,
      nrProcesses: 1,
      unread: { processes: 2, residentBytes: MIB },
      processes: [{ pid: 4_194_304, name: 'a-name-of-sixteen', cgroup, ...placed }],
    });
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
    expect(text).toMatch(/\.\.\.\S*\.scope\nnot looked at: 2, 1\.0 MiB\n$/);
  });

  test('what was left out for want of room shows when a wider text is asked for', async () => {
    const { api, service } = harness();
    const path = `/kubepods.slice/${'pod-with-a-long-name-'.repeat(9)}end.scope`;
    service.cgroups = async () => ({ takenAtMs: 500, cgroups: [{ path, ...placed }], isPartial: false });
    const text = async (query: string) => (await api.inject(`/v1/cgroups?format=text${query}`)).body;
    expect(await text('')).not.toContain('kubepods');
    expect(await text('')).not.toContain('NODE 7');
    expect(await text('&columns=400')).toContain(path);
    for (const wrong of ['99', '501', 'wide']) {
      expect((await api.inject(`/v1/cgroups?columns=${wrong}`)).json()).toMatchObject({ status: 400 });
      expect(await text(`&columns=${wrong}`)).toContain('a whole number from 100 to 500');
    }
  });

  test('names that would steer it do not', () => {
    const steering = 'x\u001b[2J\n';
    const one = { secondsOld: 1, nrProcesses: 1, unread: { processes: 0, residentBytes: 0 } };
    expect(processesText({ ...one, processes: [{ pid: 7, name: steering, ...placed }] })).toContain('x?[2J?');
    expect(
      cgroupsText({ secondsOld: 1, nrCgroups: 1, isPartial: true, cgroups: [{ path: `/${steering}`, ...placed }] }),
    ).toContain('/x?[2J?\nthe host has more cgroups than were looked at\n');
  });

  test('what is not known is not zero', () => {
    const { hotOnSlowBytes, ...unknown } = placed;
    expect(hotOnSlowBytes).toBeGreaterThan(0);
    const text = cgroupsText({ secondsOld: 1, nrCgroups: 1, isPartial: false, cgroups: [{ path: '/', ...unknown }] });
    expect(text).toMatch(/ - +\/\n$/);
  });
});
