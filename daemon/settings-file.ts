import { join } from 'node:path';
import Type from 'typebox';
import type { SavedSettings } from '../api/policy/operator-settings.ts';
import { MAX_DEPTH } from '../api/policy/operator-settings.ts';
import { compileCheck } from '../api/schema/check.ts';
import { isDeeperThan } from '../api/schema/merge-patch.ts';
import { formatViolation } from '../api/schema/violation.ts';
import type { Logger } from '../tiering/logger.ts';
import type { StateFormat } from './state-file.ts';
import { StateFile } from './state-file.ts';

/** Raised when an older tierd would misread the file. */
const VERSION = 1;

const FileSchema = Type.Object({
  version: Type.Literal(VERSION),
  policy: Type.Object({}),
  pausedSince: Type.Optional(Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z$' })),
});

const check = compileCheck(FileSchema);

const FORMAT: StateFormat<SavedSettings> = {
  serialize: (settings) => `${JSON.stringify({ version: VERSION, ...settings }, undefined, 2)}\n`,
  parse: (text) => {
    const checked = check(JSON.parse(text));
    if (!checked.ok) throw new Error(checked.violations.map(formatViolation).join('; '));
    const { policy, pausedSince } = checked.value;
    if (isDeeperThan(policy, MAX_DEPTH)) throw new Error(`policy: nested more than ${MAX_DEPTH} levels deep`);
    if (pausedSince !== undefined && Number.isNaN(Date.parse(pausedSince)))
      throw new Error('pausedSince: no such time');
    return { policy: { ...policy }, ...(pausedSince !== undefined && { pausedSince }) };
  },
};

/** The file in which the daemon keeps what the operator has set over REST. */
export function settingsFile(stateDirectory: string, logger: Logger): StateFile<SavedSettings> {
  return new StateFile(join(stateDirectory, 'settings.json'), FORMAT, logger);
}
