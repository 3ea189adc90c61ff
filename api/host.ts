import { cpus, hostname, release, totalmem } from 'node:os';
import type { Static } from 'typebox';
import Type from 'typebox';

/** The machine that tierd runs on, as far as node:os tells without cost (`tierd about` tells more). */
export const HostSchema = Type.Object(
  {
    hostname: Type.String(),
    kernel: Type.String({ description: 'Release of the running kernel.' }),
    cpuModel: Type.String(),
    memoryBytes: Type.Number({ description: 'All memory the kernel manages.' }),
  },
  { description: 'The machine that tierd runs on.' },
);

export type Host = Static<typeof HostSchema>;

/** Reads the host once; the answer does not change while the daemon runs. */
export function readHost(): Host {
  return {
    hostname: hostname(),
    kernel: release(),
    cpuModel: cpus()[0]?.model.trim() ?? 'unknown',
    memoryBytes: totalmem(),
  };
}
