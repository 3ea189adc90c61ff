import { isJsonObject } from '../api/schema/json-schema.ts';
import { diagnosisText } from '../api/text/diagnosis-text.ts';
import { HostSysFs } from '../numa/sysfs.ts';
import { diagnose } from '../tiering/doctor/diagnose.ts';
import type { Severity } from '../tiering/doctor/finding.ts';
import { worstOf } from '../tiering/doctor/finding.ts';
import { gatherFacts } from '../tiering/doctor/gather.ts';
import { ask } from './client/ask.ts';
import { configuredSocket } from './client/client.ts';
import type { DoctorOptions } from './commands/command.ts';
import { EXIT_FINDINGS, EXIT_OK } from './exit-codes.ts';

/** `tierd doctor`: looks at this host, with or without a daemon, as root or not. Resolves with the exit code. */
export async function doctor({ json = false, socket }: DoctorOptions, write: (text: string) => void): Promise<number> {
  const pids = await ownKdamonds(socket ?? (await configuredSocket()));
  const findings = diagnose(await gatherFacts(new HostSysFs(), pids));
  const diagnosis = { worst: worstOf(findings), findings };
  write(json ? `${JSON.stringify(diagnosis, undefined, 2)}\n` : diagnosisText(diagnosis));
  return exitCodeFor(diagnosis.worst);
}

/** Errors and warnings show in the exit code, so that scripts need not read. */
function exitCodeFor(worst: Severity): number {
  if (worst === 'error') return EXIT_FINDINGS.error;
  return worst === 'warning' ? EXIT_FINDINGS.warning : EXIT_OK;
}

/** Pids of the kdamonds of a daemon that runs; none when it does not, or does not let this user ask. */
async function ownKdamonds(socket: string): Promise<readonly number[]> {
  try {
    const { text } = await ask({ method: 'GET', path: '/v1/schemes', as: 'json' }, socket);
    const body: unknown = JSON.parse(text);
    const kdamonds = isJsonObject(body) && Array.isArray(body.kdamonds) ? body.kdamonds : [];
    return kdamonds.map((kdamond) => (isJsonObject(kdamond) ? Number(kdamond.pid) : -1));
  } catch {
    return [];
  }
}
