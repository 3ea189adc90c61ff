import { writeFile } from 'node:fs/promises';
import { readPageSize } from '../node-memory.ts';
import { ADDRESS_UNIT_BYTES } from '../page-size.ts';
import { stayOnCpus } from '../syscalls/affinity.ts';
import type { MappedMemory } from '../syscalls/mapped-memory.ts';
import { mapMemory } from '../syscalls/mapped-memory.ts';
import { hostMemoryPolicies } from '../syscalls/memory-policy.ts';
import type { MovePages } from '../syscalls/move-pages.ts';
import { hostMovePages } from '../syscalls/move-pages.ts';
import { HostSysFs } from '../sysfs.ts';
import { ProbeError } from './errors.ts';
import type { Measurement, MeasureRequest } from './measurement.ts';
import { follow, linkInRandomCycle } from './pointer-chase.ts';
import { fastestRoundNs } from './timing.ts';

const LATENCY_BUDGET_MS = 600;
const BANDWIDTH_BUDGET_MS = 300;
/** 10 ms at 200 ns. */
const LINKS_A_ROUND = 50_000;
const WARM_UP_LINKS = 200_000;
const MIB = 2 ** 20;
const NS_PER_SECOND = 1e9;
/** Not zero: some processors write zeros two to three times as fast. */
const WRITTEN = 0x55;
/** To look for it means to read all. */
const NOT_WRITTEN = 0xaa;
/** A page that something else moved makes no difference; more do. */
const LEAST_SHARE_IN_PLACE = 0.95;

/**
 * Measures a memory node in this process, which is blocked meanwhile, bound to the CPUs for good, and keeps the buffer: for a
 * process that does nothing else and ends. Throws ProbeError, SyscallError, SyscallsUnavailableError.
 */
export async function measureNode({ nodeId, bufferBytes, cpus }: MeasureRequest): Promise<Measurement> {
  // Should the node run out of memory, then the kernel's choice is this process (proc_pid_oom_score_adj(5)).
  await writeFile('/proc/self/oom_score_adj', '1000');
  await stayOnCpus(cpus);
  const policies = await hostMemoryPolicies();
  const movePages = await hostMovePages();
  const pageBytes = await readPageSize(new HostSysFs());
  const memory = await mapMemory(bufferBytes);
  await policies.setForArea(memory, { mode: 'bind', nodeIds: [nodeId] });

  const words = new Uint32Array(memory.buffer);
  linkInRandomCycle(words, (bound) => Math.floor(Math.random() * bound));
  const readLatencyNs = latencyNs(words);
  const bandwidths = bandwidthsOf(memory);
  await checkPlace(memory, nodeId, pageBytes, movePages);
  return { readLatencyNs, ...bandwidths };
}

function latencyNs(words: Uint32Array): number {
  let index = follow(words, 0, WARM_UP_LINKS);
  const roundNs = fastestRoundNs(
    () => {
      index = follow(words, index, LINKS_A_ROUND);
    },
    LATENCY_BUDGET_MS,
    clockNs,
  );
  return rounded(roundNs / LINKS_A_ROUND);
}

/** memset and memchr of the C library, behind Buffer, use the widest instructions there are. */
function bandwidthsOf({ buffer, bytes }: MappedMemory): Omit<Measurement, 'readLatencyNs'> {
  const view = Buffer.from(buffer);
  const mebibytesASecond = (round: () => void) =>
    rounded(bytes / MIB / (fastestRoundNs(round, BANDWIDTH_BUDGET_MS, clockNs) / NS_PER_SECOND));
  const writeBandwidthMiBps = mebibytesASecond(() => view.fill(WRITTEN));
  const readBandwidthMiBps = mebibytesASecond(() => view.indexOf(NOT_WRITTEN));
  return { readBandwidthMiBps, writeBandwidthMiBps };
}

/** A tierd that runs beside may have promoted what is so hot. */
async function checkPlace(
  { address, bytes }: MappedMemory,
  nodeId: number,
  pageBytes: number,
  movePages: MovePages,
): Promise<void> {
  // Page numbers are those of move-pages.ts, in units of 4 KiB whatever the size of a page.
  const units = pageBytes / ADDRESS_UNIT_BYTES;
  const first = address / ADDRESS_UNIT_BYTES;
  const pages = Float64Array.from({ length: bytes / pageBytes }, (_, index) => first + index * units);
  const nodeIds = await movePages({ pid: process.pid, pages });
  const inPlace = nodeIds.filter((id) => id === nodeId).length;
  if (inPlace < pages.length * LEAST_SHARE_IN_PLACE) {
    const moved = `${pages.length - inPlace} of ${pages.length} pages lie elsewhere by now`;
    throw new ProbeError(nodeId, `${moved}: something moves them; while tierd runs, use POST /v1/probe`);
  }
}

function clockNs(): number {
  return Number(process.hrtime.bigint());
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
