import Type from 'typebox';
import { compileCheck } from '../api/schema/check.ts';
import { diagnosisText } from '../api/text/diagnosis-text.ts';
import { DiagnosisSchema } from '../api/views/diagnosis-view.ts';
import { SETTINGS_FINDING } from '../api/views/settings-findings.ts';
import type { SysFs } from '../numa/sysfs.ts';
import { HostSysFs } from '../numa/sysfs.ts';
import type { NodePerformance } from '../numa/topology.ts';
import { ScopeResolver } from '../tiering/cgroup-scope.ts';
import { diagnose, SCOPE_FINDING } from '../tiering/doctor/diagnose.ts';
import type { Finding, Severity } from '../tiering/doctor/finding.ts';
import { worstFirst, worstOf } from '../tiering/doctor/finding.ts';
import { gatherFacts } from '../tiering/doctor/gather.ts';
import { knownFromReceipt } from '../tiering/doctor/known-damon.ts';
import { monotonicMs } from '../tiering/monotonic.ts';
import { recall } from '../tiering/probing.ts';
import { describeUnmatched } from '../tiering/resolved-scope.ts';
import { ask } from './client/ask.ts';
import { chooseSocket } from './client/choose-socket.ts';
import { configured } from './client/client.ts';
import type { DoctorOptions } from './commands/command.ts';
import type { Config } from './config-schema.ts';
import { EXIT_FINDINGS, EXIT_OK } from './exit-codes.ts';
import { readProbes } from './probe-file.ts';
import { readReceipt } from './state-file.ts';

/** `tierd doctor`: looks at this host, with or without a daemon, as root or not. Resolves with the exit code. */
export async function doctor(
  { json = false, socket, stateDirectory }: DoctorOptions,
  write: (text: string) => void,
  sysfs: SysFs = new HostSysFs(),
): Promise<number> {
  const config = await configured();
  const directory = stateDirectory ?? config.stateDirectory;
  const asked = socket ?? (await chooseSocket('GET', config.api));
  const [running, receipt] = await Promise.all([askDaemon(asked), readReceipt(directory)]);
  const { ownKdamondPids, features } = await knownFromReceipt(sysfs, receipt);
  const known = { ownKdamondPids: [...ownKdamondPids, ...running.kdamondPids], features };
  const measured = await measuredBefore(sysfs, directory);
  const discovery = { ...(config.tiers !== 'auto' && { tiers: config.tiers }), measured };
  const facts = await gatherFacts(sysfs, known, 'command', discovery);
  const findings = withTold(diagnose(facts, await scopeProblem(config, sysfs)), running.findings);
  const diagnosis = { worst: worstOf(findings), findings };
  write(json ? `${JSON.stringify(diagnosis, undefined, 2)}\n` : diagnosisText(diagnosis));
  return exitCodeFor(diagnosis.worst);
}

/** Of the configuration file's policy. */
function scopeProblem(config: Config, sysfs: SysFs): Promise<string | undefined> {
  const resolver = new ScopeResolver(sysfs, monotonicMs);
  return resolver.resolve(config.cgroups).then(describeUnmatched, () => undefined);
}

/** What a daemon measured of nodes that are still there; nothing where that cannot be read. */
async function measuredBefore(sysfs: SysFs, directory: string): Promise<ReadonlyMap<number, NodePerformance>> {
  try {
    return await recall(sysfs, await readProbes(directory));
  } catch {
    return new Map();
  }
}

/** Errors and warnings show in the exit code, so that scripts need not read. */
function exitCodeFor(worst: Severity): number {
  if (worst === 'error') return EXIT_FINDINGS.error;
  return worst === 'warning' ? EXIT_FINDINGS.warning : EXIT_OK;
}

/** On these the daemon goes by what it uses: its configuration as it was read, and what it measured. */
const TIER_FINDINGS: ReadonlySet<string> = new Set([
  'tiers',
  'speeds',
  'left-alone',
  'slow-kind-on-top',
  'tier-order',
  'figures-at-odds',
  'odd-value',
]);

/** The daemon knows better which tiers it uses, what DAMON can do, which it has tried, and what it may not do itself. Pure. */
function withTold(findings: readonly Finding[], told: readonly Finding[]): readonly Finding[] {
  const isOnlyTold = ({ id }: Finding): boolean =>
    id === SETTINGS_FINDING || id === SCOPE_FINDING || TIER_FINDINGS.has(id);
  const knowsTiers = told.some(({ id }) => TIER_FINDINGS.has(id));
  const own = findings.filter(({ id }) => {
    if (TIER_FINDINGS.has(id)) return !knowsTiers;
    // A daemon knows the policy in force; it says nothing of the kind when all is well.
    return id !== SCOPE_FINDING || told.length === 0;
  });
  return worstFirst([
    ...told.filter(isOnlyTold),
    ...own.map((finding) => {
      const better = told.find(({ id }) => id === finding.id);
      if (better === undefined) return finding;
      const isBetter = finding.id === 'kernel' || (finding.id === 'capabilities' && better.severity === 'error');
      return isBetter ? better : finding;
    }),
  ]);
}

interface Running {
  readonly kdamondPids: readonly number[];
  readonly findings: readonly Finding[];
}

const checkSchemes = compileCheck(Type.Object({ kdamonds: Type.Array(Type.Object({ pid: Type.Integer() })) }));
const checkDiagnosis = compileCheck(DiagnosisSchema);

/** What a daemon that runs tells; nothing when it does not run, or does not let this user ask. */
async function askDaemon(socket: string): Promise<Running> {
  const get = async (path: string): Promise<unknown> => {
    try {
      return JSON.parse((await ask({ method: 'GET', path, as: 'json' }, socket)).text);
    } catch {
      return undefined;
    }
  };
  const [schemes, diagnosis] = await Promise.all([get('/v1/schemes'), get('/v1/diagnosis')]);
  const [seen, told] = [checkSchemes(schemes), checkDiagnosis(diagnosis)];
  return {
    kdamondPids: seen.ok ? seen.value.kdamonds.map(({ pid }) => pid) : [],
    findings: told.ok ? told.value.findings : [],
  };
}
