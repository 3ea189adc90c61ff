import { gradedScenarios, measureGraded } from '../guest/graded-scenarios.ts';
import { fastNode, measure, scenarios, slowNode } from '../guest/scenarios.ts';
import type { Stage } from '../guest/stage.ts';
import { TIERINGS } from './modes.ts';
import type { GradedResult, Mode, PlacementResult } from './results.ts';
import { MODES } from './results.ts';

/** The main job's scenarios that have a time to tell. */
export const PLACEMENTS = ['room', 'full', 'many', 'shift'] as const;
type Placement = (typeof PLACEMENTS)[number];

/** Those with memory of graded heat. */
export const GRADED_PLACEMENTS = ['graded-room', 'graded-full', 'graded-mixed'] as const;
type GradedPlacement = (typeof GRADED_PLACEMENTS)[number];

const UNTIL_HOT_SHARE = 0.99;
/** How long to look on for what else moves. */
const WATCH_MS = 5_000;
const GRADED_SECONDS = 120;

/** One workload without tiering, under the kernel's own, under HMSDK's policy and under tierd; one after the other in the same guest. */
export async function* comparePlacement(stage: Stage, placement: Placement): AsyncGenerator<PlacementResult> {
  const scenario = scenarios[placement];
  for (const mode of MODES) {
    yield await playUnder(stage, mode, async (startTiering) => {
      const workloads = await stage.place(scenario);
      const options = { untilHotShare: UNTIL_HOT_SHARE, timeoutMs: TIERINGS[mode].timeoutMs, watchMs: WATCH_MS };
      return measure(stage.guest, scenario, workloads, startTiering, options);
    });
  }
}

/** The same with memory of graded heat, for as long under each. */
export async function* compareGraded(stage: Stage, placement: GradedPlacement): AsyncGenerator<GradedResult> {
  const scenario = gradedScenarios[placement];
  for (const mode of MODES) {
    yield await playUnder(stage, mode, async (startTiering) => {
      const workload = await stage.placeGraded(scenario);
      const seconds = mode === 'none' ? 15 : GRADED_SECONDS;
      return measureGraded(stage.guest, scenario, workload, startTiering, { seconds });
    });
  }
}

async function playUnder<M>(
  stage: Stage,
  mode: Mode,
  play: (startTiering: () => Promise<number>) => Promise<M>,
): Promise<M & { kernel: string; mode: Mode; startSeconds: number }> {
  const { guest } = stage;
  const { start, stop } = TIERINGS[mode];
  try {
    let startSeconds = 0;
    const measured = await play(async () => {
      const began = performance.now();
      const since = await start(stage);
      startSeconds = Math.round((performance.now() - began) / 100) / 10;
      return since;
    });
    return { ...measured, kernel: guest.kernel, mode, startSeconds };
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
  await stage.clearWorkloads();
  const { guest } = stage;
  // Kernel threads have no memory, and processes may end meanwhile: both fail without harm.
  await guest.run(`for pid in $(ps -e -o pid=); do migratepages $pid ${slowNode} ${fastNode}; done 2>/dev/null`);
  await stage.clear();
}
