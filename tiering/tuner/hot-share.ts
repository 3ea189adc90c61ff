/** Observations of hot memory differ by about so much from one to the next: within it nothing moves for the share's sake. */
export const HOT_SHARE_TOLERANCE = 0.05;

/** So many ticks in a row more must be above than is wanted before any of it goes down: what has just moved is seen badly at first. */
export const EXCESS_TICKS = 8;

export interface HotMemoryAround {
  /** Hot bytes on the fast node. */
  readonly aboveBytes: number;
  /** Hot bytes that wait below it. */
  readonly waitingBytes: number;
  /** Share of both that shall be above, 0 to 1. */
  readonly hotShare: number;
}

/** What the wish to keep part of the hot memory on slow nodes, so that the bandwidth of both is used, means for one fast node. */
export interface HotSpread {
  /** Share of the waiting bytes that may be promoted. */
  readonly promotableShare: number;
  /** Hot bytes that are to leave the node. */
  readonly demotableBytes: number;
}

/** With a share of 1 all of it may go up, and none has to leave. */
export const ALL_FAST: HotSpread = { promotableShare: 1, demotableBytes: 0 };

/** How hot memory is to be spread between a fast node and those below. */
export function spreadHotMemory({ aboveBytes, waitingBytes, hotShare }: HotMemoryAround): HotSpread {
  const totalBytes = aboveBytes + waitingBytes;
  if (hotShare >= 1 || totalBytes === 0) return ALL_FAST;
  const excessBytes = aboveBytes - hotShare * totalBytes;
  const isNear = Math.abs(excessBytes) <= HOT_SHARE_TOLERANCE * totalBytes;
  return {
    promotableShare: waitingBytes === 0 || isNear ? 0 : Math.min(1, Math.max(0, -excessBytes) / waitingBytes),
    demotableBytes: isNear ? 0 : Math.max(0, excessBytes),
  };
}
