/**
 * Ping-pong: memory that is demoted to make room and comes straight back. DAMON loses a page's identity when it moves, so it is told from
 * flows: an exchange that helps makes the hot bytes waiting below fall by what was promoted; bytes promoted without such a fall,
 * as far as as much was demoted meanwhile, came back. (The idea of TPP's pgpromote_candidate_demoted, from counters DAMON has.)
 */
export interface PingPongWatch {
  readonly episode: Episode | undefined;
  readonly holdUntilMs: number;
  readonly holdMs: number;
  /** Estimate since start. */
  readonly totalBytes: number;
}

interface Episode {
  readonly startedAtMs: number;
  readonly peakWaitingBytes: number;
  readonly promotedBytes: number;
  readonly demotedBytes: number;
}

const EPISODE_MS = 30_000;
/** After a hold the next try need not be as long to be told: each one costs copies. */
const EPISODE_AFTER_HOLD_MS = 10_000;
const FIRST_HOLD_MS = 30_000;
const MAX_HOLD_MS = 600_000;
/** Less than this share of the node in one episode is noise. */
const MIN_SHARE = 0.004;
/** An exchange of which more than this share comes back is not worth its copies. */
const MAX_RETURNED = 0.5;

export const NO_PING_PONG: PingPongWatch = { episode: undefined, holdUntilMs: 0, holdMs: 0, totalBytes: 0 };

export interface ExchangeFlow {
  readonly nowMs: number;
  readonly nodeTotalBytes: number;
  readonly waitingBytes: number;
  readonly promotedBytes: number;
  readonly demotedBytes: number;
}

/** The watch after a tick; while `nowMs < holdUntilMs` no exchange should be ordered. The hold doubles each time the next try fails too. */
export function watchPingPong(watch: PingPongWatch, flow: ExchangeFlow): PingPongWatch {
  if (flow.nowMs < watch.holdUntilMs) return { ...watch, episode: undefined };
  const episode: Episode = {
    startedAtMs: watch.episode?.startedAtMs ?? flow.nowMs,
    peakWaitingBytes: Math.max(watch.episode?.peakWaitingBytes ?? 0, flow.waitingBytes),
    promotedBytes: (watch.episode?.promotedBytes ?? 0) + flow.promotedBytes,
    demotedBytes: (watch.episode?.demotedBytes ?? 0) + flow.demotedBytes,
  };
  const episodeMs = watch.holdMs > 0 ? EPISODE_AFTER_HOLD_MS : EPISODE_MS;
  if (flow.nowMs - episode.startedAtMs < episodeMs) return { ...watch, episode };

  const helpedBytes = Math.max(0, episode.peakWaitingBytes - flow.waitingBytes);
  const returnedBytes = Math.min(episode.demotedBytes, Math.max(0, episode.promotedBytes - helpedBytes));
  const isPingPong =
    returnedBytes > MAX_RETURNED * episode.promotedBytes && returnedBytes >= MIN_SHARE * flow.nodeTotalBytes;
  if (!isPingPong) {
    const wasBusy = episode.promotedBytes >= MIN_SHARE * flow.nodeTotalBytes;
    return { ...watch, episode: undefined, holdMs: wasBusy ? 0 : watch.holdMs };
  }
  const holdMs = Math.min(MAX_HOLD_MS, Math.max(FIRST_HOLD_MS, watch.holdMs * 2));
  return {
    episode: undefined,
    holdUntilMs: flow.nowMs + holdMs,
    holdMs,
    totalBytes: watch.totalBytes + returnedBytes,
  };
}
