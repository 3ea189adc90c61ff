import { expect, test } from 'vitest';
import { discoverTopology } from '../../../../numa/discover.ts';
import { ProbeError } from '../../../../numa/probe/errors.ts';
import { measureInChild } from '../../../../numa/probe/measure-in-child.ts';
import type { Measure, MeasureRequest } from '../../../../numa/probe/measurement.ts';
import { probeNode, probeNodes } from '../../../../numa/probe/probe.ts';
import { buildTree, MiB } from '../tree.ts';

const TAKEN_AT = new Date('2026-11-23T05:00:00Z');
const now = () => TAKEN_AT;

const machine = {
  nodes: [
    { id: 0, cpus: '0-1', blocks: [0, 1, 2, 3] },
    { id: 1, blocks: [8, 9, 10, 11] },
  ],
};

/** A machine without memory to measure: node 0 takes 100 ns, node 1 takes 250 ns. */
function madeUp(failing: readonly number[] = []) {
  const requests: MeasureRequest[] = [];
  const measure: Measure = async (request) => {
    requests.push(request);
    if (failing.includes(request.nodeId)) throw new ProbeError(request.nodeId, 'the kernel said no');
    return { readLatencyNs: 100 + 150 * request.nodeId, readBandwidthMiBps: 9000, writeBandwidthMiBps: 8000 };
  };
  return { measure, requests };
}

test('every node is measured, one after another, from the CPUs nearest to it', async () => {
  const { sysfs } = await buildTree(machine);
  const { nodes } = await discoverTopology(sysfs);
  const { measure, requests } = madeUp();
  const progress: string[] = [];
  const report = await probeNodes(nodes, { sysfs, measure, now, onProgress: (text) => progress.push(text) });
  expect(requests).toEqual([0, 1].map((nodeId) => ({ nodeId, bufferBytes: 64 * MiB, cpus: [0, 1] })));
  expect(report.skipped).toEqual([]);
  expect(report.nodes[1]).toEqual({
    nodeId: 1,
    readLatencyNs: 250,
    readBandwidthMiBps: 9000,
    writeBandwidthMiBps: 8000,
    bufferBytes: 64 * MiB,
    initiatorNodeIds: [0],
    takenAt: TAKEN_AT.toISOString(),
  });
  expect(progress).toEqual([0, 1].map((nodeId) => `node ${nodeId}: measuring with 64 MiB from the CPUs of node 0`));
});

test('a node that cannot be measured is skipped with the reason, and the others are measured', async () => {
  const { sysfs } = await buildTree(machine);
  const { nodes } = await discoverTopology(sysfs);
  const report = await probeNodes(nodes, { sysfs, measure: madeUp([0]).measure });
  expect(report.skipped).toEqual([{ nodeId: 0, reason: 'the kernel said no' }]);
  expect(report.nodes.map(({ nodeId }) => nodeId)).toEqual([1]);
});

test('a node that has filled up since the topology was read is not measured', async () => {
  const tree = await buildTree(machine);
  const { nodes } = await discoverTopology(tree.sysfs);
  await tree.write(
    '/sys/devices/system/node/node1/meminfo',
    'Node 1 MemTotal: 524288 kB\nNode 1 MemFree: 2048 kB\nNode 1 MemUsed: 522240 kB',
  );
  const { measure, requests } = madeUp();
  await expect(probeNode(1, nodes, { sysfs: tree.sysfs, measure })).rejects.toThrow(
    'cannot measure node 1: 2 MiB are free',
  );
  expect(requests).toEqual([]);
});

test('a node that is not there is an error', async () => {
  const { sysfs } = await buildTree(machine);
  const { nodes } = await discoverTopology(sysfs);
  await expect(probeNode(5, nodes, { sysfs, measure: madeUp().measure })).rejects.toThrow(
    'there is no such memory node',
  );
});

function childThat(script: string) {
  return measureInChild({ file: process.execPath, args: ['-e', script, '--'] });
}

const request = { nodeId: 1, bufferBytes: MiB, cpus: [0] };

test('a process that dies is a failure with what it said', async () => {
  await expect(childThat('console.error("no memory today"); process.exit(3)')(request)).rejects.toMatchObject({
    code: 'TIERD_PROBE_FAILED',
    message: 'cannot measure node 1: the process that measured failed: no memory today',
  });
  await expect(childThat('process.kill(process.pid, "SIGKILL")')(request)).rejects.toThrow(
    'the kernel killed the process that measured',
  );
});

test('the signal ends a measurement', async () => {
  const abort = new AbortController();
  const measuring = childThat('setInterval(() => undefined, 1000)')(request, abort.signal);
  abort.abort();
  await expect(measuring).rejects.toMatchObject({ name: 'AbortError' });
});
