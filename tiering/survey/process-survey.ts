import { PageFile, READ_PAGES } from '../../numa/page-maps/page-files.ts';
import { samplePages } from '../../numa/page-maps/page-sample.ts';
import { decodeRuns, RunBuffer } from '../../numa/page-maps/pagemap-runs.ts';
import type { UserProcess } from '../../numa/page-maps/processes.ts';
import { isExited, isOfOneProcess, userProcesses } from '../../numa/page-maps/processes.ts';
import { ADDRESS_UNIT_BYTES } from '../../numa/page-size.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import type { PageRun } from '../jobs/page-batches.ts';
import { readProcessMemory } from '../jobs/process-memory.ts';
import type { FrameCounts, SlowFrames } from './slow-frames.ts';
import type { ProcessPlacement, ProcessSurvey } from './survey.ts';
import { byNeed, placement } from './survey.ts';

export interface ProcessSurveyOptions {
  /** The kernel's page size: what a process's resident pages are counted in. */
  readonly pageBytes: number;
  readonly sysfs: SysFs;
  /** Undefined while no slow node has been watched and where frames cannot be told, so that what is hot is not known. */
  readonly slow: SlowFrames | undefined;
  /** CLOCK_MONOTONIC, in milliseconds. */
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
  /** No process is begun later than that after the start. */
  readonly budgetMs?: number;
}

const BUDGET_MS = 2_000;
/** Of one process: the entries of 4 GiB. Of more a sample is read. */
const MOST_PAGES_READ = 2 ** 20;

/**
 * Where the processes have their memory, and how much of it is hot on slow nodes: from numa_maps, and from page maps of what lies on slow nodes. The
 * largest first, as long as the time suffices. Memory that several processes map counts with each of them. Throws SysFsError.
 */
export async function surveyProcesses(options: ProcessSurveyOptions): Promise<ProcessSurvey> {
  const { sysfs, pageBytes, nowMs, signal, budgetMs = BUDGET_MS } = options;
  const startMs = nowMs();
  const unread = { processes: 0, residentBytes: 0 };
  const found = await userProcesses(sysfs, undefined, () => {
    unread.processes++;
  });
  const all = found.toSorted((a, b) => b.residentPages - a.residentPages);
  const processes: ProcessPlacement[] = [];
  for (const process of all) {
    const inTime = nowMs() - startMs < budgetMs && !signal.aborted;
    const found = inTime ? await placementOf(process, options) : 'unreadable';
    if (found === 'gone') continue;
    if (found !== 'unreadable') processes.push(found);
    else {
      unread.processes++;
      unread.residentBytes += process.residentPages * pageBytes;
    }
  }
  return { takenAtMs: nowMs(), processes: processes.sort(byNeed), unread };
}

async function placementOf(
  { pid }: UserProcess,
  { sysfs, slow, pageBytes }: ProcessSurveyOptions,
): Promise<ProcessPlacement | 'gone' | 'unreadable'> {
  try {
    const [{ runs, bytesByNode }, name, cgroups] = await Promise.all([
      readProcessMemory(sysfs, pid, new Set(slow?.hasHot === true ? slow.nodeIds : []), pageBytes),
      sysfs.readIfPresent(`/proc/${pid}/comm`),
      sysfs.readIfPresent(`/proc/${pid}/cgroup`),
    ]);
    if (name === undefined) return 'gone';
    // A cgroup's name may hold carriage returns and U+2028, which end a line for a regular expression.
    const cgroup = cgroups
      ?.split('\n')
      .find((line) => line.startsWith('0::'))
      ?.slice('0::'.length);
    const hotByNode = slow && (await hotBytesByNode(pid, runs, bytesByNode, slow, { sysfs, pageBytes }));
    return { pid, name, ...(cgroup !== undefined && { cgroup }), ...placement(bytesByNode, hotByNode) };
  } catch (error) {
    if (isExited(error)) return 'gone';
    // Such as another user's, without CAP_SYS_PTRACE.
    if (isOfOneProcess(error)) return 'unreadable';
    throw error;
  }
}

/**
 * Hot bytes by slow node. The kernel has counted a process's pages on each node: of those the page map, or a sample of it, tells the share that is hot.
 * Undefined when the frames are hidden from us.
 */
async function hotBytesByNode(
  pid: number,
  runs: readonly PageRun[],
  bytesByNode: ReadonlyMap<number, number>,
  slow: SlowFrames,
  kernel: Pick<ProcessSurveyOptions, 'sysfs' | 'pageBytes'>,
): Promise<ReadonlyMap<number, number> | undefined> {
  const { pageBytes } = kernel;
  const counts = new Map<number, FrameCounts>();
  if (runs.length > 0 && (await countFrames(pid, runs, slow, kernel, counts)).isHidden) return undefined;
  return new Map(
    slow.nodeIds.map((nodeId) => {
      const { frames, hotFrames } = counts.get(nodeId) ?? { frames: 0, hotFrames: 0 };
      const share = frames === 0 ? 0 : hotFrames / frames;
      return [nodeId, Math.round(((bytesByNode.get(nodeId) ?? 0) * share) / pageBytes) * pageBytes];
    }),
  );
}

async function countFrames(
  pid: number,
  areas: readonly PageRun[],
  slow: SlowFrames,
  { sysfs, pageBytes }: Pick<ProcessSurveyOptions, 'sysfs' | 'pageBytes'>,
  counts: Map<number, FrameCounts>,
): Promise<{ readonly isHidden: boolean }> {
  // A page map counts in pages of the kernel.
  const units = pageBytes / ADDRESS_UNIT_BYTES;
  const spans = areas.map(({ startPage, endPage }) => ({ start: startPage / units, end: endPage / units }));
  const sample = samplePages(spans, MOST_PAGES_READ);
  const pagemap = await PageFile.open(sysfs.root, `/proc/${pid}/pagemap`);
  try {
    const runs = new RunBuffer();
    let seen = 0;
    let hidden = 0;
    for (const { start, end } of sample.spans) {
      for (let page = start; page < end; page += READ_PAGES) {
        const { words, pages } = await pagemap.read(page, Math.min(READ_PAGES, end - page));
        runs.clear();
        const decoded = decodeRuns(words, 0, pages, page, runs);
        seen += decoded.pages;
        hidden += decoded.hiddenPages;
        for (let i = 0; i < runs.length; i++) slow.count(runs.startFrame[i] ?? 0, runs.pages[i] ?? 0, counts);
      }
    }
    return { isHidden: seen === 0 && hidden > 0 };
  } finally {
    await pagemap.close();
  }
}
