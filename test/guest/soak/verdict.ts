const MIB = 1024 * 1024;
/** What a heap breathes between two collections. */
const MEMORY_SLACK_BYTES = 6 * MIB;
/** Connections that are just open. */
const FDS_SLACK = 3;

export interface SoakSample {
  readonly seconds: number;
  /** Resident memory of the daemon's own, without files that it maps: those come and go with the page cache. */
  readonly ownBytes: number;
  readonly openFds: number;
}

/** Whether memory and descriptors stayed flat: the last third of the time against the middle one, as the first warms up. Pure. */
export function judge(samples: readonly SoakSample[]): { readonly isFlat: boolean; readonly text: string } {
  const third = Math.floor(samples.length / 3);
  const [middle, last] = [samples.slice(third, 2 * third), samples.slice(2 * third)];
  if (middle.length === 0)
    return { isFlat: false, text: 'too short to tell anything: at least three samples are needed' };
  const memory = { before: median(middle, 'ownBytes'), after: median(last, 'ownBytes') };
  const fds = { before: median(middle, 'openFds'), after: median(last, 'openFds') };
  const isFlat = memory.after <= memory.before + MEMORY_SLACK_BYTES && fds.after <= fds.before + FDS_SLACK;
  const mib = (bytes: number) => `${(bytes / MIB).toFixed(1)} MiB`;
  return {
    isFlat,
    text: `${isFlat ? 'flat' : 'GROWING'}: own resident memory ${mib(memory.before)} -> ${mib(memory.after)}, descriptors ${fds.before} -> ${fds.after}`,
  };
}

function median(samples: readonly SoakSample[], key: 'ownBytes' | 'openFds'): number {
  const sorted = samples.map((sample) => sample[key]).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
