import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Type from 'typebox';
import { compileCheck } from '../api/schema/check.ts';
import { formatViolation } from '../api/schema/violation.ts';
import { ProbeResultSchema } from '../api/views/probe-view.ts';
import type { Logger } from '../tiering/logger.ts';
import type { RememberedProbe } from '../tiering/probing.ts';
import type { StateFormat } from './state-file.ts';
import { StateFile } from './state-file.ts';

const FILE_NAME = 'probe.json';

const FileSchema = Type.Object({
  probes: Type.Array(Type.Object({ ...ProbeResultSchema.properties, nodeBytes: Type.Number() })),
});

const check = compileCheck(FileSchema);

/** What was measured, as text and back; `parse` throws when the text is not such a text. */
const PROBE_FORMAT: StateFormat<readonly RememberedProbe[]> = {
  serialize: (probes) => `${JSON.stringify({ probes }, undefined, 2)}\n`,
  parse: (text) => {
    const checked = check(JSON.parse(text));
    if (!checked.ok) throw new Error(checked.violations.map(formatViolation).join('; '));
    return checked.value.probes;
  },
};

/** What the daemon remembers, for a command that only looks. Throws what readFile and JSON.parse throw. */
export async function readProbes(stateDirectory: string): Promise<readonly RememberedProbe[]> {
  return PROBE_FORMAT.parse(await readFile(join(stateDirectory, FILE_NAME), 'utf8'));
}

/** The file in which the daemon remembers what it measured of the memory nodes. */
export function probeFile(stateDirectory: string, logger: Logger): StateFile<readonly RememberedProbe[]> {
  return new StateFile(join(stateDirectory, FILE_NAME), PROBE_FORMAT, logger);
}
