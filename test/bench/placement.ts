import type { Scenario } from '../guest/scenarios.ts';
import { fastNode, measure, scenarios, slowNode } from '../guest/scenarios.ts';
import type { Stage } from '../guest/stage.ts';
import { TIERINGS } from './modes.ts';
import type { Mode, PlacementResult } from './results.ts';
import { MODES } from './results.ts';

/** The main job's scenarios that have a time to tell. */
export const PLACEMENTS = ['room', 'full', 'many', 'shift'] as const;
type Placement = (typeof PLACEMENTS)[number];

const UNTIL_HOT_SHARE = 0.99;
/** How long to look on for what else moves. */
const WATCH_MS = 5_000;

/** One workload without tiering, under the kernel's own, and under tierd; one after the other in the same guest. */
export async function* comparePlacement(stage: Stage, placement: Placement): AsyncGenerator<PlacementResult> {
  for (const mode of MODES) yield await playUnder(stage, scenarios[placement], mode);
}

async function playUnder(stage: Stage, scenario: Scenario, mode: Mode): Promise<PlacementResult> {
  const { guest } = stage;
  const { timeoutMs, start, stop } = TIERINGS[mode];
  try {
    await stage.place(scenario);
    const options = { untilHotShare: UNTIL_HOT_SHARE, timeoutMs, watchMs: WATCH_MS };
    let startSeconds = 0;
    const startTiering = async (): Promise<number> => {
      const began = performance.now();
      const since = await start(stage);
      startSeconds = Math.round((performance.now() - began) / 100) / 10;
      return since;
    };
    const measured = await measure(guest, scenario, stage.workloads, startTiering, options);
    return { kernel: guest.kernel, mode, startSeconds, ...measured };
  } finally {
    // A guest that is gone, as after Ctrl-C, has nothing to take back; the first error is the one to tell.
    if (guest.running) {
      await stop(guest);
      await emptied(stage);
    }
  }
}

/** Makes the guest as it was before: what was demoted of the system's own memory comes back, too. */
async function emptied(stage: Stage): Promise<void> {
  await Promise.all(stage.workloads.map((workload) => workload.stop()));
  const { guest } = stage;
  // Kernel threads have no memory, and processes may end meanwhile: both fail without harm.
  await guest.run(`for pid in $(ps -e -o pid=); do migratepages $pid ${slowNode} ${fastNode}; done 2>/dev/null`);
  await stage.clear();
}
