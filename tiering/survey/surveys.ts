import { readPageSize } from '../../numa/node-memory.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import type { Topology } from '../../numa/topology.ts';
import type { Policy } from '../policy.ts';
import type { NodeSnapshot } from '../snapshot.ts';
import { surveyCgroups } from './cgroup-survey.ts';
import { Newest } from './newest.ts';
import { surveyProcesses } from './process-survey.ts';
import { SlowFrames } from './slow-frames.ts';
import type { CgroupSurvey, ProcessSurvey } from './survey.ts';

export interface SurveysOptions {
  readonly sysfs: SysFs;
  /** CLOCK_MONOTONIC, in milliseconds. */
  readonly nowMs: () => number;
  /** What is known at the moment. */
  readonly known: () => {
    readonly topology: Topology;
    readonly policy: Policy;
    readonly snapshots: readonly NodeSnapshot[];
  };
}

/** Who has memory where, looked up when somebody asks. */
export class Surveys {
  readonly #options: SurveysOptions;
  readonly #abort = new AbortController();
  readonly #processes: Newest<ProcessSurvey>;
  readonly #cgroups: Newest<CgroupSurvey>;

  constructor(options: SurveysOptions) {
    this.#options = options;
    const { sysfs, nowMs } = options;
    this.#processes = new Newest({
      nowMs,
      take: async () => {
        const pageBytes = await readPageSize(sysfs);
        return surveyProcesses({
          sysfs,
          pageBytes,
          nowMs,
          slow: this.#slowFrames(pageBytes),
          signal: this.#abort.signal,
        });
      },
    });
    this.#cgroups = new Newest({
      nowMs,
      take: async () => {
        const pageBytes = await readPageSize(sysfs);
        return surveyCgroups({ sysfs, nowMs, slow: this.#slowFrames(pageBytes), pageBytes });
      },
    });
  }

  /** Throws SysFsError. */
  processes(): Promise<ProcessSurvey> {
    return this.#processes.get();
  }

  /** Throws SysFsError, KernelFormatError. */
  cgroups(): Promise<CgroupSurvey> {
    return this.#cgroups.get();
  }

  /** A survey under way ends soon. */
  stop(): void {
    this.#abort.abort();
  }

  /** Undefined while no slow node has been watched. */
  #slowFrames(pageBytes: number): SlowFrames | undefined {
    const { topology, policy, snapshots } = this.#options.known();
    const slow = new SlowFrames(topology, snapshots, policy, pageBytes);
    return slow.nodeIds.length === 0 ? undefined : slow;
  }
}
